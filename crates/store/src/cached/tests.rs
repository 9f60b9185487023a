use std::sync::atomic::AtomicUsize;

use tokio::sync::Notify;

use super::*;

fn hash(number: u8) -> KeyHash {
    [number; 32]
}

fn hex(number: u8) -> String {
    format!("{number:02x}").repeat(32)
}

fn found(value: u32, team: Option<&str>, user: Option<&str>) -> Option<Found<u32>> {
    Some(Found { value: Arc::new(value), team: team.map(str::to_owned), user: user.map(str::to_owned) })
}

async fn put(cached: &Cached<u32>, number: u8, value: Option<Found<u32>>) {
    cached.find(&hash(number), || async { Ok(value) }).await.unwrap();
}

fn knows(cached: &Cached<u32>, number: u8) -> Option<Option<u32>> {
    cached.get(&hash(number)).map(|known| known.map(|value| *value))
}

fn change(kind: Kind, id: &str) -> Change {
    Change { kind, id: id.to_owned() }
}

#[tokio::test]
async fn what_was_found_is_known_and_a_change_ends_exactly_that() {
    let cached = Cached::new(100);
    put(&cached, 1, found(1, Some("red"), None)).await;
    put(&cached, 2, found(2, Some("red"), Some("ann"))).await;
    put(&cached, 3, found(3, None, Some("ann"))).await;
    put(&cached, 4, None).await;
    assert_eq!(
        [1, 2, 3, 4, 5].map(|n| knows(&cached, n)),
        [Some(Some(1)), Some(Some(2)), Some(Some(3)), Some(None), None]
    );
    cached.forget(&[change(Kind::Key, &hex(2)), change(Kind::Team, "ann"), change(Kind::Tag, "red")]);
    assert_eq!([1, 2, 3, 4].map(|n| knows(&cached, n)), [Some(Some(1)), None, Some(Some(3)), Some(None)]);
    cached.forget(&[change(Kind::Key, &hex(4))]);
    assert_eq!(knows(&cached, 4), None);
    put(&cached, 2, found(2, Some("red"), Some("ann"))).await;
    cached.forget(&[change(Kind::User, "ann")]);
    assert_eq!([1, 2, 3].map(|n| knows(&cached, n)), [Some(Some(1)), None, None]);
    cached.forget(&[change(Kind::Team, "red")]);
    assert_eq!(knows(&cached, 1), None);
}

#[tokio::test]
async fn a_burst_with_one_key_asks_once() {
    let cached = Arc::new(Cached::new(100));
    let (asked, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let all: Vec<_> = (0..64)
        .map(|_| {
            let (cached, asked, gate) = (cached.clone(), asked.clone(), gate.clone());
            tokio::spawn(async move {
                let load = || async move {
                    asked.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    Ok(found(7, None, None))
                };
                cached.find(&hash(1), load).await.unwrap()
            })
        })
        .collect();
    while asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    for one in all {
        assert_eq!(one.await.unwrap().as_deref(), Some(&7));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(lock(&cached.flights).is_empty());
}

#[tokio::test]
async fn a_burst_on_a_store_that_is_gone_hears_of_it_together_and_remembers_nothing() {
    let cached: Cached<u32> = Cached::new(100);
    let gone = || async { Err(StoreError::Unavailable("gone".to_owned())) };
    assert!(cached.find(&hash(1), gone).await.is_err());
    assert_eq!(knows(&cached, 1), None);
    put(&cached, 1, found(1, None, None)).await;
    assert_eq!(knows(&cached, 1), Some(Some(1)));
}

/// Looked up before the change, inserted after it.
#[tokio::test]
async fn a_change_during_a_look_up_is_not_undone_by_it() {
    for old in [found(1, Some("red"), None), None] {
        let cached = Arc::new(Cached::new(100));
        let (begun, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let early = {
            let (cached, begun, gate) = (cached.clone(), begun.clone(), gate.clone());
            tokio::spawn(async move {
                let load = || async move {
                    begun.notify_one();
                    gate.notified().await;
                    Ok(old)
                };
                cached.find(&hash(1), load).await.unwrap()
            })
        };
        begun.notified().await;
        cached.forget(&[change(Kind::Team, "red"), change(Kind::Key, &hex(1))]);
        // Whoever asks now is not given what was read before.
        let late = cached.find(&hash(1), || async { Ok(found(2, None, None)) }).await.unwrap();
        assert_eq!(late.as_deref(), Some(&2));
        gate.notify_one();
        early.await.unwrap();
        assert_eq!(knows(&cached, 1), Some(Some(2)));
        assert!(lock(&cached.flights).is_empty());
    }
}

#[tokio::test]
async fn who_loads_may_go_away_and_another_goes_on() {
    let cached = Arc::new(Cached::new(100));
    let begun = Arc::new(Notify::new());
    let first = {
        let (cached, begun) = (cached.clone(), begun.clone());
        tokio::spawn(async move {
            let load = || async move {
                begun.notify_one();
                std::future::pending().await
            };
            cached.find(&hash(1), load).await.unwrap()
        })
    };
    begun.notified().await;
    let second = {
        let cached = cached.clone();
        tokio::spawn(
            async move { cached.find(&hash(1), || async { Ok(found(3, None, None)) }).await.unwrap() },
        )
    };
    tokio::task::yield_now().await;
    first.abort();
    assert_eq!(second.await.unwrap().as_deref(), Some(&3));
    assert!(lock(&cached.flights).is_empty());
}

#[tokio::test]
async fn it_is_bounded_and_what_is_used_stays() {
    let cached = Cached::new(SHARDS * 8);
    let key = |number: u32| {
        let mut hash = KeyHash::default();
        hash[1..5].copy_from_slice(&number.to_be_bytes());
        hash
    };
    for number in 0..1000 {
        cached.find(&key(number), || async { Ok(found(number, None, None)) }).await.unwrap();
        assert!(cached.get(&key(0)).is_some(), "{number}");
    }
    {
        let shard = cached.shards[0].read().unwrap();
        assert!(shard.young.len() + shard.old.len() <= 8);
    }
    for number in 0..1000 {
        cached.find(&key(10_000 + number), || async { Ok(None) }).await.unwrap();
    }
    assert!(lock(&cached.nobodies).len() <= cached.most_nobodies);
}
