//! Limits from files: loaded, followed, refused.

use std::os::unix::fs::symlink;

use nuncio_ratelimit::ConfigType;

use crate::stack::{Stack, settings, until};

fn limits(requests: u32) -> String {
    format!(
        "domain: d\ndescriptors:\n- {{key: k, rate_limit: {{unit: year, requests_per_unit: {requests}}}}}\n"
    )
}

async fn in_force(stack: &Stack) -> String {
    Stack::http(stack.bound.admin, "GET", "/rlconfig", "").await.1
}

async fn until_in_force(stack: &Stack, requests: u32) {
    let wanted = format!("requests_per_unit={requests},");
    until("the limit is in force", async || in_force(stack).await.contains(&wanted)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_takes_effect_and_counts_are_kept() {
    let stack = Stack::start(&limits(1), |_| {}).await;
    assert!(stack.admits("d", &[("k", "v")]).await);
    assert!(!stack.admits("d", &[("k", "v")]).await);
    std::fs::write(stack.file("limits.yaml"), limits(2)).unwrap();
    until_in_force(&stack, 2).await;
    assert!(stack.admits("d", &[("k", "v")]).await);
    assert!(!stack.admits("d", &[("k", "v")]).await);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_is_counted() {
    let stack = Stack::start(&limits(1), |_| {}).await;
    std::fs::write(stack.file("more.yaml"), "domain: e\ndescriptor: []\n").unwrap();
    let failed = async || stack.metric("ratelimit_service_config_load_error ").await > 0.0;
    until("the failure is counted", failed).await;
    assert!(in_force(&stack).await.contains("requests_per_unit=1,"));
    std::fs::write(stack.file("more.yaml"), limits(5).replace("domain: d", "domain: e")).unwrap();
    until_in_force(&stack, 5).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_symlink_takes_effect_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for (version, requests) in [("v1", 1), ("v2", 2)] {
        let config = folder.path().join(version).join("config");
        std::fs::create_dir_all(&config).unwrap();
        std::fs::write(config.join("limits.yaml"), limits(requests)).unwrap();
    }
    let current = folder.path().join("current");
    symlink(folder.path().join("v1"), &current).unwrap();
    let mut settings = settings(&folder);
    settings.rules.runtime_root = current.clone();
    let stack = Stack::with(folder, settings).await.unwrap();
    until_in_force(&stack, 1).await;
    let next = stack.folder.path().join("next");
    symlink(stack.folder.path().join("v2"), &next).unwrap();
    std::fs::rename(&next, &current).unwrap();
    until_in_force(&stack, 2).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_loses_its_files_keeps_its_limits() {
    let stack = Stack::start(&limits(1), |_| {}).await;
    std::fs::remove_file(stack.file("limits.yaml")).unwrap();
    let failed = async || stack.metric("ratelimit_service_config_load_error ").await > 0.0;
    until("the failure is counted", failed).await;
    assert!(in_force(&stack).await.contains("requests_per_unit=1,"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_usable_files_fails_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    let error = Stack::with(folder, settings(&tempfile::tempdir().unwrap())).await.err().unwrap();
    assert!(format!("{error:#}").contains("RUNTIME_ROOT"), "{error:#}");

    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("config")).unwrap();
    let file = folder.path().join("config/bad.yaml");
    std::fs::write(&file, "domain: ''\n").unwrap();
    let mut forced = settings(&folder);
    let error = Stack::with(tempfile::tempdir().unwrap(), forced.clone()).await.err().unwrap();
    assert!(format!("{error:#}").contains("bad.yaml"), "{error:#}");
    forced.rules.force_start = true;
    let stack = Stack::with(folder, forced).await.unwrap();
    std::fs::write(&file, limits(4)).unwrap();
    until_in_force(&stack, 4).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_limits_everything_is_admitted() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&folder);
    settings.rules.config_type = ConfigType::None;
    let stack = Stack::with(folder, settings).await.unwrap();
    assert!(stack.admits("d", &[("k", "v")]).await);
    stack.stop().await;
}
