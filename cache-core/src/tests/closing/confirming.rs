//! What a closing tells before the change, and one of many names.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_closing_is_confirmed_if_it_had_no_gap() {
    let (cache, store) = rig();
    let closing = close(&cache, "t").await;
    closing.confirm().await.unwrap();
    assert_eq!(store.calls(Op::Close), 1, "nobody is asked while the marks are young");
    // As in a process that is cut off, or stands still.
    store.fail(Op::Close);
    tokio::time::sleep(CLOSING_LIFETIME * 8 / 15).await;
    closing.confirm().await.unwrap_err();
    store.heal(Op::Close);
    closing.confirm().await.unwrap();
    store.fail(Op::Close);
    tokio::time::sleep(CLOSING_LIFETIME * 8 / 15).await;
    call(&cache, 1).await;
    assert_eq!(stored(&cache, "k").await, None, "it was closed anew");
    tokio::time::sleep(CLOSING_LIFETIME * 8 / 15).await;
    store.heal(Op::Close);
    let error = closing.confirm().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("open for a while"), "{error}");
    tokio::time::sleep(CLOSING_LIFETIME).await;
    closing.confirm().await.expect_err("no renewal makes up for a gap");
    closing.open().await.unwrap();
    assert!(stores_again(&cache).await);
}

#[tokio::test(start_paused = true)]
async fn many_names_are_closed_and_opened_together() {
    let (cache, _) = rig();
    let many = || Invalidation::new().tag("t").tags((0..600).map(|number| number.to_string()));
    let closing = cache.close(many()).await.unwrap();
    call(&cache, 1).await;
    load_key(&cache, tagged("last", &["599"]), async { 1 }).await;
    assert_eq!((stored(&cache, "k").await, stored(&cache, "last").await), (None, None));
    closing.open().await.unwrap();
    call(&cache, 2).await;
    load_key(&cache, tagged("last", &["599"]), async { 2 }).await;
    assert_eq!((stored(&cache, "k").await, stored(&cache, "last").await), (Some(2), Some(2)));
    let mut others = Vec::new();
    for part in ["a", "b", "c"] {
        let names = (0..3_200).map(|number| format!("{part}:{number}"));
        others.push(cache.close(Invalidation::new().tags(names)).await.unwrap());
    }
    assert_eq!(cache.close(many()).await.unwrap_err().kind(), ErrorKind::Limit);
    load_key(&cache, tagged("first", &["0"]), async { 3 }).await;
    assert_eq!(stored(&cache, "first").await, Some(3), "what was closed before the room ended is open");
}
