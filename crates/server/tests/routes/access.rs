//! Every route as everybody.
