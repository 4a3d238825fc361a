//! What every Nuncio process needs: settings, telemetry, admin, readiness, drain, tasks.
