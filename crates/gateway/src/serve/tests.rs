//! What becomes of work on another runtime.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use watertight_layers::runtimes::Crew;

use super::*;

/// Something that is held, and told when it comes home.
struct Held(Option<oneshot::Sender<()>>);

impl Drop for Held {
    fn drop(&mut self) {
        // Whoever is told may have gone.
        let _ = self.0.take().unwrap().send(());
    }
}

fn held() -> (Held, oneshot::Receiver<()>) {
    let (sender, home) = oneshot::channel();
    (Held(Some(sender)), home)
}

#[tokio::test]
async fn a_panic_elsewhere_gives_back_what_was_held_and_is_no_answer() {
    let crew = Crew::new("elsewhere", 1).start().unwrap();
    let (seat, home) = held();
    let work = |reply| async move {
        let _held = (seat, reply);
        panic!("planted");
    };
    assert!(elsewhere(crew.handle(), work).await.is_none());
    home.await.unwrap();
}

#[tokio::test]
async fn who_goes_away_takes_along_what_runs_elsewhere() {
    let crew = Crew::new("elsewhere", 1).start().unwrap();
    let (seat, home) = held();
    let (begins, begun) = oneshot::channel();
    let work = |reply| async move {
        let _held = (seat, reply);
        begins.send(()).unwrap();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = elsewhere(crew.handle(), work) => unreachable!("it never ends by itself"),
        begun = begun => begun.unwrap(),
    }
    home.await.unwrap();
}

#[tokio::test]
async fn an_answer_does_not_end_the_work() {
    let crew = Crew::new("elsewhere", 1).start().unwrap();
    let (ends, ended) = oneshot::channel();
    let (go, going) = oneshot::channel();
    let work = |reply: oneshot::Sender<Answer>| async move {
        reply.send(Fault::NotFound.into_response()).unwrap();
        going.await.unwrap();
        ends.send(()).unwrap();
    };
    let answer = elsewhere(crew.handle(), work).await.unwrap();
    assert_eq!(answer.status(), http::StatusCode::NOT_FOUND);
    go.send(()).unwrap();
    ended.await.unwrap();
}
