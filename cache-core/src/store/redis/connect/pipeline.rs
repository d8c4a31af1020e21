//! One connection as bytes: commands of many callers leave in one write, and replies come back in
//! the order of the commands.
//!
//! Callers put encoded commands into a shared buffer. The [`Driver`] writes all of it at once,
//! reads what comes, and hands each reply to the call that waits for it. A system call for each
//! command would cost more than all the rest of a hit.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep_until};

use super::dial::Transport;
use super::fault::Fault;
use crate::clock;
use crate::config::{DEADLINES_LOOK, REPLIES_AWAITED_MAX, SOCKET_WRITE_BYTES_KEPT, UNSENT_BYTES_MAX};
use crate::store::redis::resp::{Command, Frame, Malformed, Reader, Reply};

/// The callers' side.
#[derive(Default)]
pub(super) struct Pipeline {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// Commands that the driver has not taken yet.
    unsent: Vec<u8>,
    /// The seat of each reply that is to come, in order.
    awaited: VecDeque<u32>,
    seats: Vec<Seat>,
    /// Seats that nobody has.
    vacant: Vec<u32>,
    /// The driver, while it has nothing to write.
    idle_driver: Option<Waker>,
    deadlines: Deadlines,
    /// Why no more replies will come.
    end: Option<Fault>,
}

/// When to look for calls whose time is up.
#[derive(Default)]
struct Deadlines {
    /// No call that waits has an earlier deadline. `None`: no call that waits has one.
    next: Option<Instant>,
    /// No call has come since the last look.
    is_quiet: bool,
    keeper: Option<Waker>,
    /// The keeper has no timer: it waits to be woken.
    keeper_sleeps: bool,
}

/// Where one call waits for its replies. Used again by later calls, so that a call allocates
/// nothing.
#[derive(Default)]
struct Seat {
    replies: Vec<Reply>,
    missing: usize,
    deadline: Option<Instant>,
    is_overdue: bool,
    caller: Option<Waker>,
    /// The caller is gone, and its replies go nowhere.
    is_deserted: bool,
}

impl Pipeline {
    /// Queues commands, one after another. The replies come whether or not anybody waits for them.
    /// At its deadline the wait for them ends with a fault.
    pub(super) fn send(self: &Arc<Self>, commands: &[Command], deadline: Option<Instant>) -> Result<Exchange, Fault> {
        self.send_with(commands, b"", deadline)
    }

    /// As [`send`](Self::send), with this argument in the gaps of the commands.
    pub(super) fn send_with(
        self: &Arc<Self>,
        commands: &[Command],
        in_gaps: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Exchange, Fault> {
        let mut queue = self.lock();
        if let Some(end) = &queue.end {
            return Err(end.clone());
        }
        let bytes: usize = commands.iter().map(Command::len).sum();
        let is_full = !queue.unsent.is_empty() && queue.unsent.len() + bytes > UNSENT_BYTES_MAX;
        if is_full || queue.awaited.len() + commands.len() > REPLIES_AWAITED_MAX {
            return Err(Fault::unavailable("too many commands wait for one connection to Redis"));
        }
        for command in commands {
            command.encode_with(in_gaps, &mut queue.unsent);
        }
        let seat = queue.take_seat(commands.len(), deadline);
        queue.awaited.extend(commands.iter().map(|_| seat));
        let driver = queue.idle_driver.take();
        let keeper = queue.deadlines.add(deadline).filter(|_| driver.is_some());
        drop(queue);
        // In this order, and the keeper never alone: of the tasks that a task wakes, the last one
        // runs next on the same thread, and other threads do not take it. If the caller then blocks
        // its thread, its deadline is kept all the same. While the driver is awake, the keeper
        // looks before long.
        keeper.into_iter().chain(driver).for_each(Waker::wake);
        Ok(Exchange { pipeline: self.clone(), seat: Some(seat) })
    }

    /// Whether several calls are under way. One counts until it has taken its replies.
    fn is_shared(&self) -> bool {
        let queue = self.lock();
        queue.seats.len() - queue.vacant.len() > 1
    }

    /// Hands the replies out, oldest first, and empties the list.
    fn hand_out(&self, replies: &mut Vec<Reply>, callers: &mut Vec<Waker>) -> Result<(), Malformed> {
        let mut queue = self.lock();
        for reply in replies.drain(..) {
            // A reply to nothing that was asked: whose the later ones are, nobody knows.
            let seat = queue.awaited.pop_front().ok_or(Malformed)?;
            callers.extend(queue.put(seat, reply));
        }
        Ok(())
    }

    /// Ends all calls under way, and those to come. The first reason counts.
    fn close(&self, end: Fault) {
        let mut queue = self.lock();
        queue.end.get_or_insert(end);
        queue.awaited.clear();
        queue.unsent = Vec::new();
        let keeper = queue.deadlines.keeper.take();
        let callers: Vec<_> = queue.seats.iter_mut().filter_map(|seat| seat.caller.take()).collect();
        drop(queue);
        callers.into_iter().chain(keeper).for_each(Waker::wake);
    }

    /// Tells calls whose time is up, until the connection ends. One timer for all of them: it goes
    /// off once for many calls, because each call is given about the same time and most have their
    /// replies long before.
    ///
    /// To be run in a task of its own, which is woken by its timer and not by the calls.
    pub(super) async fn keep_deadlines(self: Arc<Self>) {
        let mut timer = pin!(sleep_until(clock::now()));
        std::future::poll_fn(|context| {
            loop {
                let mut queue = self.lock();
                if queue.end.is_some() {
                    return Poll::Ready(());
                }
                let now = clock::now();
                let overdue = queue.overdue(now);
                let next = queue.next_look(now);
                match &mut queue.deadlines.keeper {
                    Some(keeper) => keeper.clone_from(context.waker()),
                    keeper => *keeper = Some(context.waker().clone()),
                }
                drop(queue);
                overdue.into_iter().for_each(Waker::wake);
                let Some(next) = next else { return Poll::Pending };
                if timer.deadline() != next {
                    timer.as_mut().reset(next);
                }
                ready!(timer.as_mut().poll(context));
            }
        })
        .await;
    }

    // A panic while the lock is held is one of the allocator's.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn take_seat(&mut self, replies: usize, deadline: Option<Instant>) -> u32 {
        let seat = self.vacant.pop().unwrap_or_else(|| {
            self.seats.push(Seat::default());
            // Fewer than `REPLIES_AWAITED_MAX`, and those of callers that have not come back for
            // their replies yet.
            (self.seats.len() - 1) as u32
        });
        let taken = &mut self.seats[seat as usize];
        (taken.missing, taken.deadline) = (replies, deadline);
        seat
    }

    /// The calls whose time is up by now.
    fn overdue(&mut self, now: Instant) -> Vec<Waker> {
        if self.deadlines.next.is_none_or(|next| now < next) {
            return Vec::new();
        }
        let (mut callers, mut next) = (Vec::new(), None);
        for seat in self.seats.iter_mut().filter(|seat| seat.missing > 0 && !seat.is_deserted) {
            match seat.deadline {
                Some(deadline) if deadline <= now => {
                    (seat.deadline, seat.is_overdue) = (None, true);
                    callers.extend(seat.caller.take());
                }
                deadline => next = next.into_iter().chain(deadline).min(),
            }
        }
        self.deadlines.next = next;
        callers
    }

    /// When the keeper is to look again, if it is not woken before: nobody wakes it while the
    /// driver is awake.
    fn next_look(&mut self, now: Instant) -> Option<Instant> {
        let deadlines = &mut self.deadlines;
        let was_quiet = std::mem::replace(&mut deadlines.is_quiet, true);
        let is_due = !was_quiet || deadlines.next.is_some() || self.idle_driver.is_none();
        let look = deadlines.next.into_iter().chain(is_due.then(|| now + DEADLINES_LOOK)).min();
        deadlines.keeper_sleeps = look.is_none();
        look
    }

    /// Returns the caller to be woken.
    fn put(&mut self, number: u32, reply: Reply) -> Option<Waker> {
        let seat = &mut self.seats[number as usize];
        seat.missing -= 1;
        if !seat.is_deserted {
            seat.replies.push(reply);
        }
        if seat.missing > 0 {
            return None;
        }
        if seat.is_deserted {
            self.vacate(number);
            return None;
        }
        seat.caller.take()
    }

    fn vacate(&mut self, number: u32) {
        let seat = &mut self.seats[number as usize];
        seat.replies.clear();
        (seat.caller, seat.is_deserted, seat.is_overdue) = (None, false, false);
        self.vacant.push(number);
    }
}

impl Deadlines {
    /// Returns the keeper, if its timer is to go off earlier. Nothing is lost if it is not woken
    /// now.
    fn add(&mut self, deadline: Option<Instant>) -> Option<Waker> {
        self.is_quiet = false;
        let earlier = deadline.filter(|deadline| self.next.is_none_or(|next| *deadline < next));
        self.next = earlier.or(self.next);
        if earlier.is_some() || self.keeper_sleeps { self.keeper.clone() } else { None }
    }
}

/// The replies to commands that were sent together. Dropping it leaves the outcome of the commands
/// unknown and the order of other replies untouched.
pub(super) struct Exchange {
    pipeline: Arc<Pipeline>,
    /// `None` once the replies were taken.
    seat: Option<u32>,
}

impl Exchange {
    /// The reply to a single command.
    pub(super) async fn reply(self) -> Result<Reply, Fault> {
        self.until(|replies| replies.pop()).await
    }

    /// One reply for each command, in order.
    pub(super) async fn replies(self) -> Result<Vec<Reply>, Fault> {
        self.until(|replies| Some(std::mem::take(replies))).await
    }

    async fn until<T>(mut self, take: impl Fn(&mut Vec<Reply>) -> Option<T>) -> Result<T, Fault> {
        std::future::poll_fn(|context| self.poll_with(&take, context)).await
    }

    fn poll_with<T>(
        &mut self,
        take: &impl Fn(&mut Vec<Reply>) -> Option<T>,
        context: &mut Context<'_>,
    ) -> Poll<Result<T, Fault>> {
        let Some(number) = self.seat else { return Poll::Ready(Err(Fault::connection_lost())) };
        let mut queue = self.pipeline.lock();
        let seat = &mut queue.seats[number as usize];
        if seat.missing == 0 {
            let taken = take(&mut seat.replies);
            queue.vacate(number);
            self.seat = None;
            return Poll::Ready(taken.ok_or_else(Fault::connection_lost));
        }
        if seat.is_overdue {
            return Poll::Ready(Err(Fault::unanswered()));
        }
        if let Some(end) = queue.end.clone() {
            return Poll::Ready(Err(end));
        }
        match &mut queue.seats[number as usize].caller {
            Some(caller) => caller.clone_from(context.waker()),
            caller => *caller = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(number) = self.seat else { return };
        let mut queue = self.pipeline.lock();
        let seat = &mut queue.seats[number as usize];
        if seat.missing == 0 {
            queue.vacate(number);
        } else {
            seat.is_deserted = true;
            seat.replies.clear();
        }
    }
}

/// The task's side: the socket. Ends with the connection, and says why.
///
/// Between reading and writing it lets all other tasks that are ready run, while several calls are
/// under way. So the commands that woken callers send next leave in one write. With a single call
/// under way that would only cost time.
pub(super) struct Driver<P> {
    pipeline: Arc<Pipeline>,
    stream: Box<dyn Transport>,
    reader: Reader,
    /// What is being written, and how much of it was.
    sending: Vec<u8>,
    sent: usize,
    on_push: P,
    has_waited: bool,
    replies: Vec<Reply>,
    callers: Vec<Waker>,
}

impl<P: FnMut(Vec<Reply>)> Driver<P> {
    /// `on_push` is called in the order of the stream, before the callers of later replies wake.
    pub(super) fn new(pipeline: Arc<Pipeline>, stream: Box<dyn Transport>, on_push: P) -> Self {
        Self {
            pipeline,
            stream,
            reader: Reader::default(),
            sending: Vec::new(),
            sent: 0,
            on_push,
            has_waited: false,
            replies: Vec::new(),
            callers: Vec::new(),
        }
    }

    /// Reads all that is there. `Ready` at the end of the stream.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<Fault> {
        loop {
            // Dropped before it has read anything, the future has taken nothing.
            match ready!(pin!(self.stream.read_buf(self.reader.room())).poll(context)) {
                Ok(bytes) if bytes > 0 => {}
                Ok(_) => return Poll::Ready(Fault::connection_lost()),
                Err(error) => return Poll::Ready(Fault::of_stream(&error)),
            }
            if self.take_in().is_err() {
                return Poll::Ready(Fault::not_a_reply());
            }
        }
    }

    /// Hands out what has come whole.
    fn take_in(&mut self) -> Result<(), Malformed> {
        let outcome = loop {
            match self.reader.next() {
                Ok(Some(Frame::Reply(reply))) => self.replies.push(reply),
                Ok(Some(Frame::Push(message))) => {
                    // The replies before it go first: what a caller registers when its reply comes
                    // must not miss a message that comes after.
                    self.pipeline.hand_out(&mut self.replies, &mut self.callers)?;
                    (self.on_push)(message);
                }
                Ok(None) => break Ok(()),
                Err(malformed) => break Err(malformed),
            }
        };
        let handed_out = self.pipeline.hand_out(&mut self.replies, &mut self.callers);
        self.callers.drain(..).for_each(Waker::wake);
        handed_out.and(outcome)
    }

    /// Writes until nothing is left. `Ready` if the socket refuses.
    fn write(&mut self, context: &mut Context<'_>) -> Poll<Fault> {
        loop {
            if self.sent == self.sending.len() && !self.take_over(context) {
                return match Pin::new(&mut *self.stream).poll_flush(context) {
                    Poll::Ready(Err(_)) => Poll::Ready(Fault::connection_lost()),
                    _ => Poll::Pending,
                };
            }
            let unsent = &self.sending[self.sent..];
            match ready!(Pin::new(&mut *self.stream).poll_write(context, unsent)) {
                Ok(bytes) if bytes > 0 => self.sent += bytes,
                _ => return Poll::Ready(Fault::connection_lost()),
            }
        }
    }

    /// Takes over what callers have queued. `false`: there is nothing, and the next caller wakes
    /// this task.
    fn take_over(&mut self, context: &mut Context<'_>) -> bool {
        self.sending.clear();
        self.sending.shrink_to(SOCKET_WRITE_BYTES_KEPT);
        self.sent = 0;
        let mut queue = self.pipeline.lock();
        if queue.unsent.is_empty() {
            match &mut queue.idle_driver {
                Some(driver) => driver.clone_from(context.waker()),
                driver => *driver = Some(context.waker().clone()),
            }
            return false;
        }
        std::mem::swap(&mut queue.unsent, &mut self.sending);
        true
    }
}

impl<P: FnMut(Vec<Reply>) + Unpin> Future for Driver<P> {
    type Output = Fault;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Fault> {
        let driver = &mut *self;
        if let Poll::Ready(end) = driver.read(context) {
            driver.pipeline.close(end.clone());
            return Poll::Ready(end);
        }
        driver.has_waited = !driver.has_waited && driver.pipeline.is_shared();
        if driver.has_waited {
            // The runtime puts a task that wakes itself behind all others.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Poll::Ready(end) = driver.write(context) {
            // The last words of the server may be there already.
            let end = match driver.read(context) {
                Poll::Ready(end) => end,
                Poll::Pending => end,
            };
            driver.pipeline.close(end.clone());
            return Poll::Ready(end);
        }
        Poll::Pending
    }
}

impl<P> Drop for Driver<P> {
    fn drop(&mut self) {
        self.pipeline.close(Fault::connection_lost());
    }
}

#[cfg(test)]
mod tests;
