//! For tests only: a fake upstream that fails, stalls, hangs up.
