//! `flight-board serve` from its first line to its end.

use cache_tests::{Server, TestStore, each_server, until};

use crate::process::{BOARD, File, Serving};

each_server! {
    async fn the_busiest_boards_are_warmed_while_the_board_is_served(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut board = Serving::start(&File::new().path, &server.url()).await;
        board.says("100 of the 100 busiest boards are warm").await;
        assert!(board.serves_from_cache(BOARD).await);
    }

    async fn a_start_without_the_server_serves_and_caches_once_the_server_is_there(store: TestStore) {
        let mut server = Server::start(store.kind().unwrap());
        server.stop();
        let file = File::new();
        let mut board = Serving::start(&file.path, &server.url()).await;
        for _ in 0..2 {
            assert!(!board.get(BOARD).await.is_cached);
        }
        board.says("0 of the 1 busiest boards are warm").await;
        server.start_again();
        until(async || board.get(BOARD).await.is_cached).await;
    }

    async fn two_files_on_one_server_do_not_share_a_cache(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let (one, other) = (File::new(), File::new());
        let one_board = Serving::start(&one.path, &server.url()).await;
        let other_board = Serving::start(&other.path, &server.url()).await;
        other.sql().execute("UPDATE flights SET delay_min = 999 WHERE id = 1", []).unwrap();
        assert_eq!(one_board.get("/flights/1").await.body["delay_min"], 66);
        assert_eq!(other_board.get("/flights/1").await.body["delay_min"], 999);
        let again = Serving::start(&one.path, &server.url()).await;
        let is_shared = again.serves_from_cache("/flights/1").await || one_board.errors().await > 0;
        assert!(is_shared, "processes of one file do");
    }

    async fn the_page_at_cache_shows_the_counts_and_does_not_keep_the_board_from_ending(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let mut board = Serving::start(&File::new().path, &server.url()).await;
        board.says("busiest boards are warm").await;
        assert!(board.get("/cache/api/caches").await.body["caches"][0]["warm"]["prefixes"].is_array());
        let page = board.get("/cache/api/stats").await.body;
        assert_eq!(page["stats"], board.get("/admin/stats").await.body);
        let events = board.open("/cache/api/events").await;
        board.ends_when_told().await;
        drop(events);
    }
}
