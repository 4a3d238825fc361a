//! Emissary's variables that mean nothing here: said at start, so that nobody
//! waits for an effect that does not come.

/// A variable without effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    /// Its name.
    pub(crate) name: &'static str,
    /// Why there is nothing for it to do.
    pub(crate) why: &'static str,
    /// Values, in lower case, that ask for what happens anyway.
    harmless: &'static [&'static str],
}

/// Returns Emissary's variables that are set and mean nothing here.
pub(crate) fn idle(value_of: impl Fn(&str) -> Option<String>) -> Vec<Idle> {
    let asks = |idle: &&Idle| {
        value_of(idle.name).is_some_and(|value| {
            let value = value.trim().to_lowercase();
            !value.is_empty() && !idle.harmless.contains(&value.as_str())
        })
    };
    IDLE.iter().filter(asks).copied().collect()
}

const fn never(name: &'static str, why: &'static str) -> Idle {
    Idle { name, why, harmless: &[] }
}

const fn unless(name: &'static str, why: &'static str, harmless: &'static [&'static str]) -> Idle {
    Idle { name, why, harmless }
}

const FALSE: &[&str] = &["false", "no", "off", "0", "f", "n"];
const TRUE: &[&str] = &["true", "yes", "on", "1", "t", "y"];

/// Sorted by name.
const IDLE: &[Idle] = &[
    never("AES_LOG_LEVEL", "NUNCIO_LOG sets the log level"),
    never("AMBASSADOR_AMBEX_NO_RATELIMIT", "updates are never held back for memory"),
    never("AMBASSADOR_AMBEX_SNAPSHOT_COUNT", "no snapshots are written to disk"),
    never("AMBASSADOR_CERTS_SINGLE_NAMESPACE", "it has none in Emissary either"),
    never("AMBASSADOR_CONFIG_BASE_DIR", "no configuration of Envoy is written to disk"),
    never("AMBASSADOR_DEBUG", "NUNCIO_LOG sets what is logged of each part"),
    never("AMBASSADOR_DIAGD_BIND_PORT", "there is no second process for diagnostics"),
    unless("AMBASSADOR_DISABLE_SNAPSHOT_SERVER", "no snapshots are served", TRUE),
    unless("AMBASSADOR_EDS_BYPASS", "endpoints are sent by EDS, each change by itself", FALSE),
    never("AMBASSADOR_ENVOY_BASE_ID", "Envoy is started without hot restart and shares nothing"),
    unless("AMBASSADOR_FAST_RECONFIGURE", "only what a change touches is compiled", TRUE),
    never("AMBASSADOR_FORCE_ENDPOINTS", "it has none in Emissary either"),
    unless(
        "AMBASSADOR_FORCE_SECRET_VALIDATION",
        "certificates are always checked: a bad one never replaces a good one",
        TRUE,
    ),
    unless("AMBASSADOR_HEALTHCHECK_IP_FAMILY", "the address to bind says it", &["any"]),
    unless("AMBASSADOR_JSON_LOGGING", "NUNCIO_LOG_FORMAT=json switches it on", FALSE),
    unless("AMBASSADOR_KNATIVE_SUPPORT", "Knative is not supported: write Mappings", FALSE),
    unless("AMBASSADOR_LOG_RESOURCES", "objects are shown by the diagnostics", FALSE),
    unless("AMBASSADOR_READY_LOG", "requests of the ready port are not logged", FALSE),
    never(
        "AMBASSADOR_RECONFIG_MAX_DELAY",
        "a change takes effect at once, and in a burst within a tenth of a second",
    ),
    never("AMBASSADOR_SNAPSHOT_COUNT", "no snapshots are written to disk"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;
    use crate::Settings;

    fn said(name: &str, value: &str) -> bool {
        let found = idle(|asked| (asked == name).then(|| value.to_owned()));
        found.iter().any(|idle| idle.name == name)
    }

    #[test]
    fn what_asks_for_nothing_is_not_said() {
        assert!(idle(|_| None).is_empty());
        assert!(said("AMBASSADOR_KNATIVE_SUPPORT", "TRUE"));
        assert!(!said("AMBASSADOR_KNATIVE_SUPPORT", "false"));
        assert!(!said("AMBASSADOR_KNATIVE_SUPPORT", ""));
        assert!(said("AMBASSADOR_FAST_RECONFIGURE", "false"));
        assert!(!said("AMBASSADOR_FAST_RECONFIGURE", "true"));
        assert!(said("AMBASSADOR_RECONFIG_MAX_DELAY", "1"));
    }

    /// Names in the first column of the page's tables.
    fn documented() -> (BTreeSet<String>, BTreeSet<String>) {
        let page = include_str!("../../../../docs/settings.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| {
            let (name, rest) = row.split_once('`')?;
            Some((name.to_owned(), rest.contains("| no effect: ")))
        });
        let (idle, working): (Vec<_>, Vec<_>) = rows.partition(|(_, idle)| *idle);
        let names = |rows: Vec<(String, bool)>| rows.into_iter().map(|(name, _)| name).collect();
        (names(idle), names(working))
    }

    #[test]
    fn the_page_of_settings_tells_the_same() {
        let (without, working) = documented();
        let names: BTreeSet<String> = IDLE.iter().map(|idle| idle.name.to_owned()).collect();
        assert_eq!(without, names);
        assert!(IDLE.is_sorted_by_key(|idle| idle.name));
        let command = Settings::command();
        let variables = command.get_arguments().filter_map(|argument| argument.get_env());
        let emissarys = ["AMBASSADOR_", "DISABLE_"];
        let missing: Vec<_> = variables
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| emissarys.iter().any(|prefix| name.starts_with(prefix)))
            .filter(|name| !working.contains(name))
            .collect();
        assert!(missing.is_empty(), "docs/settings.md has no row for {missing:?}");
    }
}
