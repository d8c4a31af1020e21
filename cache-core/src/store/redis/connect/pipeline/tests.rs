use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::error::ErrorKind;

/// Counts how often it is written to.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl tokio::io::AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl tokio::io::AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

struct Rig {
    pipeline: Arc<Pipeline>,
    server: DuplexStream,
    writes: Arc<AtomicUsize>,
    driving: tokio::task::JoinHandle<Fault>,
}

/// A pipeline with its driver, and the server's end of the stream.
fn rig() -> Rig {
    let (server, client) = tokio::io::duplex(64 << 10);
    let (pipeline, writes) = (Arc::new(Pipeline::default()), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(pipeline.clone().keep_deadlines());
    let driver = Driver::new(pipeline.clone(), Box::new(Counted(client, writes.clone())), |_| ());
    Rig { pipeline, server, writes, driving: tokio::spawn(driver) }
}

fn get(key: &str) -> [Command; 1] {
    [Command::new("GET").arg(key)]
}

/// The reply, which must be there by now.
async fn text(exchange: Exchange) -> String {
    let reply = tokio::time::timeout(std::time::Duration::from_secs(1), exchange.reply()).await;
    reply.expect("a reply").unwrap().text().unwrap().to_owned()
}

async fn idle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// On one worker thread: there a task that another one wakes runs next, before all others.
#[test]
fn what_woken_callers_send_next_leaves_in_one_write() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(async { tokio::spawn(two_rounds_of_ten_callers()).await.unwrap() });
}

async fn two_rounds_of_ten_callers() {
    let mut rig = rig();
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let pipeline = rig.pipeline.clone();
            tokio::spawn(async move {
                for _ in 0..2 {
                    pipeline.send(&get("k"), None).unwrap().reply().await.unwrap();
                }
            })
        })
        .collect();
    let mut writes = 0;
    for _ in 0..2 {
        writes = rig.writes.load(Ordering::SeqCst);
        let mut received = vec![0; 10 * "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".len()];
        rig.server.read_exact(&mut received).await.unwrap();
        rig.server.write_all(&b"+x\r\n".repeat(10)).await.unwrap();
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(rig.writes.load(Ordering::SeqCst), writes + 1, "in the second round");
}

#[tokio::test(start_paused = true)]
async fn a_reply_to_a_dropped_call_reaches_nobody() {
    let mut rig = rig();
    let both = rig.pipeline.send(&[get("a"), get("b")].concat(), None).unwrap();
    let next = rig.pipeline.send(&get("c"), None).unwrap();
    idle().await;
    rig.server.write_all(b"+a\r\n").await.unwrap();
    idle().await;
    drop(both);
    let later = rig.pipeline.send(&get("d"), None).unwrap();
    rig.server.write_all(b"+b\r\n+c\r\n+d\r\n").await.unwrap();
    assert_eq!((text(next).await.as_str(), text(later).await.as_str()), ("c", "d"));
    // The seats are there for others now, and hold nothing of the calls before.
    for _ in 0..8 {
        let exchange = rig.pipeline.send(&get("e"), None).unwrap();
        rig.server.write_all(b"+e\r\n").await.unwrap();
        let replies = exchange.replies().await.unwrap();
        assert_eq!(replies.len(), 1);
    }
    assert!(rig.pipeline.lock().seats.len() <= 3, "seats are used again");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_answered_before_it_was_dropped_leaves_its_seat() {
    let mut rig = rig();
    let answered = rig.pipeline.send(&get("a"), None).unwrap();
    rig.server.write_all(b"+a\r\n").await.unwrap();
    idle().await;
    drop(answered);
    let next = rig.pipeline.send(&get("b"), None).unwrap();
    rig.server.write_all(b"+b\r\n").await.unwrap();
    assert_eq!(text(next).await, "b");
    assert_eq!(rig.pipeline.lock().seats.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reply_to_nothing_ends_the_connection() {
    let mut rig = rig();
    rig.server.write_all(b"+x\r\n").await.unwrap();
    assert_eq!(rig.driving.await.unwrap().kind, ErrorKind::Protocol);
    let fault = rig.pipeline.send(&get("k"), None).err().unwrap();
    assert_eq!((fault.kind, fault.connection_lost), (ErrorKind::Protocol, true));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_connection_ends_every_call_but_those_with_a_reply() {
    let mut rig = rig();
    let (answered, waiting) =
        (rig.pipeline.send(&get("a"), None).unwrap(), rig.pipeline.send(&get("b"), None).unwrap());
    let waiting = tokio::spawn(waiting.reply());
    idle().await;
    rig.server.write_all(b"+a\r\n").await.unwrap();
    drop(rig.server);
    assert!(waiting.await.unwrap().unwrap_err().connection_lost);
    assert_eq!(text(answered).await, "a");
    assert!(rig.driving.await.unwrap().connection_lost);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_dropped_ends_every_call() {
    let rig = rig();
    let waiting = rig.pipeline.send(&get("k"), None).unwrap();
    idle().await;
    rig.driving.abort();
    assert!(waiting.reply().await.unwrap_err().connection_lost);
}

#[test]
fn more_than_a_connection_can_take_is_refused_at_once() {
    let pipeline = Arc::new(Pipeline::default());
    let large = Command::new("SET").arg(vec![0; UNSENT_BYTES_MAX]);
    drop(pipeline.send(std::slice::from_ref(&large), None).expect("one command may be larger"));
    assert_eq!(pipeline.send(&get("k"), None).err().unwrap().kind, ErrorKind::Unavailable);

    let pipeline = Arc::new(Pipeline::default());
    for _ in 0..REPLIES_AWAITED_MAX {
        pipeline.send(&get("k"), None).unwrap();
    }
    assert_eq!(pipeline.send(&get("k"), None).err().unwrap().kind, ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn each_call_ends_at_its_own_deadline() {
    let mut rig = rig();
    let begun = clock::now();
    let at = |ms| Some(begun + std::time::Duration::from_millis(ms));
    let calls = [300, 200, 100, 300].map(|ms| rig.pipeline.send(&get("k"), at(ms)).unwrap());
    let patient = rig.pipeline.send(&get("p"), None).unwrap();
    let [a, b, c, d] = calls.map(|call| async {
        let fault = call.reply().await.unwrap_err();
        assert_eq!(fault.kind, ErrorKind::Timeout);
        begun.elapsed().as_millis()
    });
    assert_eq!(tokio::join!(a, b, c, d), (300, 200, 100, 300));
    // The late replies go to nobody, and later calls have deadlines again.
    let later = rig.pipeline.send(&get("l"), at(1_000)).unwrap();
    rig.server.write_all(b"+k\r\n+k\r\n+k\r\n+k\r\n+p\r\n").await.unwrap();
    assert_eq!(text(patient).await, "p");
    assert!(later.reply().await.unwrap_err().is_timeout());
    assert_eq!(begun.elapsed().as_millis(), 1_000);
}

/// Of the tasks that a task wakes, the last one runs next on the same thread, and no other thread
/// takes it. So a caller that blocks its thread right after it has sent something may stop the
/// driver for that time, but not what keeps the deadlines: of its own call, and of those that
/// others send later.
#[test]
fn deadlines_are_kept_while_a_caller_blocks_its_thread() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let rig = runtime.block_on(async {
        let rig = rig();
        idle().await;
        rig
    });
    let ((give, take), (tell, told)) = (mpsc::channel::<Exchange>(), mpsc::channel());
    let (pipeline, handle) = (rig.pipeline.clone(), runtime.handle().clone());
    let others = rig.pipeline.clone();
    let waiting = std::thread::spawn(move || {
        let call = take.recv().unwrap();
        assert!(handle.block_on(call.reply()).is_err());
        // Until there is nothing to look for.
        std::thread::sleep(4 * DEADLINES_LOOK);
        let later = others.send(&get("k"), Some(clock::now() + DEADLINES_LOOK)).unwrap();
        tell.send(handle.block_on(later.reply()).is_err()).unwrap();
    });
    let blocked = runtime.spawn(async move {
        let deadline = clock::now() + std::time::Duration::from_millis(20);
        give.send(pipeline.send(&get("k"), Some(deadline)).unwrap()).unwrap();
        told.recv_timeout(std::time::Duration::from_secs(10)).expect("told while this thread is blocked")
    });
    assert!(runtime.block_on(blocked).unwrap());
    waiting.join().unwrap();
}
