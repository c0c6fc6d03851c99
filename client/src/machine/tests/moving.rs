//! A dispatcher behind a DNS name (R28).

use super::*;

const NAME: &str = "dispatcher:4000";

fn addr(last: u8) -> SocketAddr {
    ([172, 18, 0, last], 4000).into()
}

fn resolved(addr: Option<SocketAddr>) -> Event {
    Event::Resolved { name: NAME.to_owned(), addr }
}

#[test]
fn nothing_is_sent_before_the_name_is_known_and_then_all_of_it() {
    let mut bench = Bench::with_server(NAME);
    bench.call(ping());
    bench.call(ping());
    assert_eq!(bench.look_ups, [NAME]);
    assert!(bench.silent());
    bench.event(resolved(Some(addr(2))));
    assert_eq!(bench.sent.iter().map(|sent| sent.to).collect::<Vec<_>>(), [addr(2), addr(2)]);
}

#[test]
fn a_name_that_is_not_known_yet_is_looked_up_again_each_second() {
    let mut bench = Bench::with_server(NAME);
    let call = bench.call(ping());
    for look_ups in 1..=30 {
        assert_eq!(bench.look_ups.len(), look_ups);
        bench.event(resolved(None));
        bench.pass(seconds(1));
    }
    assert_eq!(*bench.outcome(call), Outcome::Unknown(Silence::NoAddress));
    bench.look_ups.clear();
    bench.event(resolved(None));
    bench.pass(seconds(60));
    assert!(bench.look_ups.is_empty(), "nobody wants to know any more");
}

#[test]
fn a_server_that_has_moved_is_found_again() {
    let mut bench = Bench::with_server(NAME);
    let call = bench.submit("k", true);
    bench.event(resolved(Some(addr(2))));
    let first = bench.request();
    bench.pass(seconds(2));
    bench.sent.clear();
    assert_eq!(bench.look_ups.len(), 2, "a timed-out send is reason to look the name up again");
    bench.event(resolved(Some(addr(3))));
    bench.pass(Duration::ZERO);
    let moved = bench.request();
    assert_eq!((moved.to, &moved.id), (addr(3), &first.id));
    bench.answer(&moved.id, &received(42));
    bench.answer(&moved.id, &done());
    assert_eq!(*bench.outcome(call), ended_well());
}

#[test]
fn a_wait_follows_a_dispatcher_that_moves() {
    let mut bench = Bench::with_server(NAME);
    bench.submit("k", true);
    bench.event(resolved(Some(addr(2))));
    let post = bench.request();
    bench.answer(&post.id, &received(42));
    bench.pass(seconds(9));
    bench.sent.clear();
    bench.event(resolved(Some(addr(3))));
    bench.pass(Duration::ZERO);
    assert_eq!(bench.request().to, addr(3));
}

/// R10: of a task without a key a second copy would be a second task.
#[test]
fn a_server_that_has_moved_gets_no_second_copy_of_a_task_without_a_key() {
    let mut bench = Bench::with_server(NAME);
    bench.call(ping());
    bench.call(Request::Submit { task: Box::new(reverse()), wait: false });
    bench.event(resolved(Some(addr(2))));
    let posts = |bench: &mut Bench| bench.sent.drain(..).filter(|sent| matches!(sent.body, Body::PostTask(_))).count();
    assert_eq!(posts(&mut bench), 1);
    // The question beside it is asked again, and finds that the server has moved.
    bench.next_request();
    bench.event(resolved(Some(addr(3))));
    bench.pass(seconds(1));
    assert!(bench.sent.iter().any(|sent| sent.to == addr(3)));
    assert_eq!(posts(&mut bench), 0);
}
