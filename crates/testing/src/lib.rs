//! Fakes and real programs for tests.
