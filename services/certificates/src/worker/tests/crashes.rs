//! Power failures before and after every call.

use super::*;

#[tokio::test]
async fn a_crash_before_or_after_any_call_costs_no_account_and_at_most_one_order() {
    let (mut crashes, mut ordered_twice) = (0, 0);
    let rig = Rig::start(|_| {}).await;
    loop {
        let name = format!("h{crashes}.example.com");
        let host = host("web", &name, &rig.directory(), &[]);
        rig.tell(vec![host.clone()]);
        let (accounts, orders) = (rig.authorities.accounts(), rig.authorities.orders());

        rig.fuse.set(Some(crashes));
        let worker = rig.run();
        let survived = tokio::select! {
            _leaf = rig.issued(&name) => {
                rig.settle_or_blow().await
            }
            () = rig.fuse.blown() => false,
        };
        drop(worker);
        rig.fuse.set(None);
        if survived {
            break;
        }

        let worker = rig.run();
        let leaf = rig.issued(&name).await;
        rig.until_status("web", |status| status.contains("Ready")).await;
        rig.until(|| rig.records.count(Shelf::Inflight) == 0).await;
        let pair = rig.secret(&name).unwrap();
        assert_eq!(leaf.public_key, keys::public_key(&pair["tls.key"]).unwrap());
        let placed = rig.authorities.orders() - orders;
        assert!((1..=2).contains(&placed), "{placed} orders after a crash at call {crashes}");
        ordered_twice += placed - 1;
        if crashes == 0 {
            assert_eq!(rig.authorities.accounts() - accounts, 1);
        } else {
            assert_eq!(rig.authorities.accounts(), 1, "at call {crashes}");
        }
        drop(worker);
        rig.delete(host);
        rig.forget();
        crashes += 1;
    }
    // Only where the CA's answer has come and is not kept yet, just after the
    // one call and just before the other: nobody can know of the order then.
    assert!(ordered_twice <= 2, "{ordered_twice} crashes cost an order");
    assert!(crashes > 20, "every call is a place to crash: {crashes}");
}

#[tokio::test]
async fn a_crash_anywhere_while_registering_leaves_one_account() {
    for crash in 0.. {
        let rig = Rig::start(|_| {}).await;
        rig.tell(vec![host("web", "www.example.com", &rig.directory(), &[])]);
        rig.fuse.set(Some(crash));
        let worker = rig.run();
        let registered = rig.until(|| rig.authorities.orders() > 0);
        let survived = tokio::select! {
            () = registered => true,
            () = rig.fuse.blown() => false,
        };
        drop(worker);
        rig.fuse.set(None);
        if survived {
            assert!(crash >= 6, "every call is a place to crash: {crash}");
            return;
        }
        let _worker = rig.run();
        rig.issued("www.example.com").await;
        assert_eq!(rig.authorities.accounts(), 1, "at call {crash}");
    }
}
