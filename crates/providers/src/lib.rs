//! Pure wire formats: bytes in, bytes out.
