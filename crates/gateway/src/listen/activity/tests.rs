//! Who is left, and who is not.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

pub(super) const LIMITS: ListenLimits = ListenLimits {
    max_connections: 1,
    max_header_bytes: 8192,
    max_body_bytes: 1,
    header_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(60),
    min_rate: 240,
};

pub(super) async fn is_overdue_within(activity: &Activity, seconds: u64) -> bool {
    let overdue = activity.over(&LIMITS);
    tokio::time::timeout(Duration::from_secs(seconds), overdue)
        .await
        .is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_is_overdue_before_silence_is() {
    let activity = Arc::new(Activity::default());
    activity.has_read(b"GET / HT");
    assert!(!is_overdue_within(&activity, 9).await);
    assert!(is_overdue_within(&activity, 12).await);

    let disguised = Arc::new(Activity::default());
    disguised.has_read(b"GET / HT");
    disguised.moved.store(false, Ordering::Relaxed);
    disguised.has_read(b"PRI * HTTP/2.0");
    assert!(is_overdue_within(&disguised, 12).await);

    let silent = Arc::new(Activity::default());
    assert!(!is_overdue_within(&silent, 59).await);
    assert!(is_overdue_within(&silent, 62).await);
}

async fn may_leave_within(activity: &Activity, millis: u64) -> bool {
    let leave = activity.may_leave();
    tokio::time::timeout(Duration::from_millis(millis), leave)
        .await
        .is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_left_with_an_answer_or_after_a_silence() {
    let activity = Arc::new(Activity::default());
    assert!(
        !may_leave_within(&activity, 900).await,
        "silent, but not yet long"
    );
    assert!(may_leave_within(&activity, 1_100).await);
    let mut busy = activity.begin();
    assert!(
        may_leave_within(&activity, 0).await,
        "the answer can say so"
    );
    busy.answered();
    assert!(
        !may_leave_within(&activity, 5_000).await,
        "the answer did not say so"
    );
    drop(busy);
    assert!(!may_leave_within(&activity, 900).await);
    let another = async {
        tokio::task::yield_now().await;
        let _busy = activity.begin();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = activity.may_leave() => {}
        () = another => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_takes_a_little_now_and_then_is_left() {
    let activity = Arc::new(Activity::default());
    let mut busy = activity.begin();
    busy.answered();
    let read = async |bytes: usize| {
        loop {
            assert!(activity.has_written(Poll::Pending).is_pending());
            tokio::time::sleep(Duration::from_secs(20)).await; // sleep: by a paused clock
            let _ = activity.has_written(Poll::Ready(Ok(bytes)));
            assert!(activity.has_written(Poll::Pending).is_pending());
        }
    };
    let left = async |bytes| {
        tokio::select! {
            is_left = is_overdue_within(&activity, 600) => is_left,
            () = read(bytes) => false,
        }
    };
    assert!(left(240).await, "12 bytes a second");
    assert!(!left(240 * 40).await);
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_takes_nothing_is_left_although_any_pace_will_do() {
    let limits = ListenLimits {
        min_rate: 0,
        ..LIMITS
    };
    let activity = Arc::new(Activity::default());
    let mut busy = activity.begin();
    busy.answered();
    let sends_on = async |taken: usize| {
        loop {
            let _ = activity.has_written(Poll::Ready(Ok(taken)));
            assert!(activity.has_written(Poll::Pending).is_pending());
            activity.has_read(b"x");
            tokio::time::sleep(Duration::from_secs(10)).await; // sleep: by a paused clock
        }
    };
    let left = async |taken| {
        let overdue = tokio::time::timeout(Duration::from_secs(600), activity.over(&limits));
        tokio::select! {
            left = overdue => left.is_ok(),
            () = sends_on(taken) => false,
        }
    };
    assert!(!left(1).await);
    assert!(left(0).await);
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_is_never_overdue_and_http2_may_idle() {
    let activity = Arc::new(Activity::default());
    activity.has_read(b"GET / HTTP/1.1\r\n\r\n");
    let busy = activity.begin();
    assert!(!is_overdue_within(&activity, 3600).await);
    drop(busy);
    assert!(!is_overdue_within(&activity, 59).await);

    let mut unread = activity.begin();
    unread.answered();
    assert!(!is_overdue_within(&activity, 59).await);
    assert!(
        is_overdue_within(&activity, 62).await,
        "the client does not read"
    );

    let http2 = Arc::new(Activity::default());
    http2.has_read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(!is_overdue_within(&http2, 59).await);
}

/// Whether a client of HTTP/2 that pings every ten seconds is left, who gets `written` with each echo.
async fn is_left_pinging(activity: &Arc<Activity>, written: &[u8]) -> bool {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let mut ours = Watched::new(ours, Arc::clone(activity));
    activity.has_read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let pings = async {
        loop {
            activity.has_read(&frame(6, &[0; 8]));
            let echo = [&frame(6, &[0; 8]), written].concat();
            ours.write_all(&echo).await.unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await; // sleep: by a paused clock
        }
    };
    let is_left = tokio::select! {
        is_left = is_overdue_within(activity, 600) => is_left,
        () = pings => false,
    };
    drop(theirs);
    is_left
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, 0, 0, 0, 0, 0][..], payload].concat()
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http2_that_only_pings_is_left() {
    let activity = Arc::new(Activity::default());
    assert!(is_left_pinging(&activity, &[]).await);
    let settings = frame(4, &[0; 6]);
    let window = frame(8, &[0; 4]);
    let activity = Arc::new(Activity::default());
    assert!(is_left_pinging(&activity, &[settings, window].concat()).await);

    // What is left of an answer whose request is over.
    let activity = Arc::new(Activity::default());
    assert!(!is_left_pinging(&activity, &frame(0, &[7; 100])).await);
    let activity = Arc::new(Activity::default());
    let mut busy = activity.begin();
    busy.answered();
    busy.awaits(true);
    assert!(
        !is_left_pinging(&activity, &[]).await,
        "the service has still to say something"
    );
    drop(busy);
    assert!(is_left_pinging(&activity, &[]).await);
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http2_that_pings_instead_of_taking_its_answer_is_left() {
    let unread = || {
        let activity = Arc::new(Activity::default());
        let mut busy = activity.begin();
        busy.answered();
        (activity, busy)
    };
    let (activity, _busy) = unread();
    assert!(
        is_left_pinging(&activity, &[]).await,
        "it was never asked for"
    );
    let (activity, mut busy) = unread();
    busy.awaits(true);
    busy.awaits(false);
    assert!(is_left_pinging(&activity, &[]).await, "the rest is there");
    // It takes some of it now and then, or sends on.
    let (activity, _busy) = unread();
    assert!(!is_left_pinging(&activity, &frame(0, &[7; 100])).await);
    let (activity, _another) = unread();
    let _request = activity.begin();
    assert!(!is_left_pinging(&activity, &[]).await, "it owes an answer");
}

#[tokio::test(start_paused = true)]
async fn a_preface_that_comes_in_pieces_is_one() {
    for pieces in [&[&b"P"[..], b"RI * HT"][..], &[b"PR", b"I"]] {
        let activity = Arc::new(Activity::default());
        let mut busy = activity.begin();
        busy.answered();
        pieces.iter().for_each(|piece| activity.has_read(piece));
        assert!(is_left_pinging(&activity, &[]).await);
    }
    let other = Activity::default();
    other.has_read(b"P");
    other.has_read(b"OST /");
    other.has_read(b"PRI");
    assert!(!other.is_http2.load(Ordering::Relaxed));
}

#[tokio::test]
async fn what_a_client_sends_of_a_request_is_no_small_talk() {
    let activity = Arc::new(Activity::default());
    let mut busy = activity.begin();
    busy.answered();
    let (ours, mut theirs) = tokio::io::duplex(1 << 10);
    let mut ours = Watched::new(ours, Arc::clone(&activity));
    let mut moves = async |bytes: &[u8]| {
        activity.moved.store(false, Ordering::Relaxed);
        theirs.write_all(bytes).await.unwrap();
        ours.read_exact(&mut vec![0; bytes.len()]).await.unwrap();
        activity.moved.load(Ordering::Relaxed)
    };
    moves(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let (data, headers, window, ping) = (0, 1, 8, 6);
    for (kind, is_said) in [
        (ping, false),
        (data, true),
        (window, false),
        (headers, true),
    ] {
        assert_eq!(moves(&frame(kind, &[0; 8])).await, is_said, "{kind}");
    }
    assert!(!moves(&frame(data, &[])).await, "it says nothing");
    drop(busy);
}
