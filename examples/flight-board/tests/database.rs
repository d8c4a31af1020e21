//! The database as a file that processes share.

use std::sync::Barrier;
use std::thread;

use flight_board::db::Db;

#[test]
fn a_new_file_that_several_open_at_once_is_filled_once() {
    let directory = tempfile::tempdir().unwrap();
    let (file, start) = (directory.path().join("board.sqlite"), Barrier::new(4));
    thread::scope(|scope| {
        let open = || {
            start.wait();
            Db::open(&file).map(drop)
        };
        let opened: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        opened.into_iter().for_each(|opened| opened.join().unwrap().unwrap());
    });
}
