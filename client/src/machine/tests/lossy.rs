//! Many submissions through a network that loses, repeats and reorders, to a model of the dispatcher.

use rand_core::RngCore;

use super::*;

/// Remembers tasks by key, refuses now and then, and ends each task at a later datagram.
#[derive(Default)]
struct Model {
    ids: BTreeMap<Key, i64>,
}

impl Model {
    fn answers(&mut self, rng: &mut ChaCha12Rng, request: &Sent) -> Vec<Value> {
        match &request.body {
            Body::PostTask(post) => {
                let key = post.key.clone().unwrap();
                if !self.ids.contains_key(&key) && chance(rng, 20) {
                    return vec![overloaded(500)];
                }
                let next = self.ids.len() as i64 + 1;
                let id = *self.ids.entry(key).or_insert(next);
                let mut answers = vec![received(id)];
                if post.wait_s.is_some() && chance(rng, 50) {
                    answers.push(json!({"result": id, "status": "done"}));
                }
                answers
            }
            Body::GetResult(get) if get.wait_s.is_none() || chance(rng, 50) => {
                vec![json!({"result": get.task_id.0, "status": "done"})]
            }
            Body::GetResult(_) => Vec::new(),
            other => panic!("{other:?}"),
        }
    }
}

fn chance(rng: &mut ChaCha12Rng, percent: u32) -> bool {
    rng.next_u32() % 100 < percent
}

fn run(seed: u64) {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let mut bench = Bench::new();
    let mut model = Model::default();
    let mut flying: Vec<(RequestId, Value)> = Vec::new();
    let calls: Vec<CallId> = (0..20).map(|n| bench.submit(&format!("key {n}"), n % 2 == 0)).collect();
    for _ in 0..20_000 {
        if bench.ended.len() == calls.len() {
            break;
        }
        for request in std::mem::take(&mut bench.sent) {
            for _ in 0..rng.next_u32() % 3 {
                for answer in model.answers(&mut rng, &request) {
                    flying.push((request.id.clone(), answer));
                }
            }
        }
        if !flying.is_empty() && chance(&mut rng, 60) {
            let index = rng.next_u32() as usize % flying.len();
            let (id, answer) = flying[index].clone();
            if chance(&mut rng, 70) {
                flying.swap_remove(index);
            }
            if chance(&mut rng, 70) {
                bench.answer(&id, &answer);
            }
        }
        bench.pass(Duration::from_millis(5));
    }
    for (n, call) in calls.iter().enumerate() {
        let id = model.ids[&Key::new(&format!("key {n}")).unwrap()];
        let ids_told = match bench.outcome(*call) {
            Outcome::Ok(Answer::Stored(reply)) => reply.task_id.0,
            Outcome::Ok(Answer::Progress(Progress::Ended(End::Done(result)))) => result.read().unwrap(),
            other => panic!("seed {seed}: call {n} ended {other:?}"),
        };
        assert_eq!(ids_told, id, "seed {seed}: call {n} was told of another task");
        if let Some(reply) = bench.stored.get(call) {
            assert_eq!(reply.task_id.0, id, "seed {seed}");
        }
    }
    assert_eq!(model.ids.len(), calls.len());
    assert_eq!(bench.machine.calls(), 0);
}

#[test]
fn every_submission_ends_well_and_makes_one_task() {
    for seed in 0..50 {
        run(seed);
    }
}
