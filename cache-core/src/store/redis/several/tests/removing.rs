//! Invalidations that some partitions answer and others do not.

use super::*;

/// ★ Else a loss of members that the other partition tells of is not made good.
#[tokio::test(start_paused = true)]
async fn what_other_partitions_have_done_counts_although_one_fails() {
    let node = ScriptedNode::new();
    node.on_in(0, &scripts::INVALIDATE, Answer::raw("-LOADING Redis is loading the dataset in memory\r\n"));
    node.on_in(1, &scripts::INVALIDATE, Answer::raw(&list(visited("i1", 7, 99))));
    let tags = [at_home_in(0), at_home_in(1)].map(|tag| ["t", &tag].concat());
    let names = parse(&tags.each_ref().map(String::as_str));
    let mut operation = node.store.begin(&names, Intent::Invalidate);
    let error = node.store.step(&mut operation, far()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let removal = operation.take_uncounted();
    assert_eq!((removal.removed, &*removal.by_prefix), (1, &[("x".into(), 1)][..]));
    assert_eq!(operation.take_uncounted(), Removal::default());
    assert_eq!(node.store.0.losses.members_up_to(removal.lost), [(1, 99)]);
    assert_eq!(node.store.0.known.copy()[1], HomeReading { incarnation: "i1".into(), seq: 7 });
}
