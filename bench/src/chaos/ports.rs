//! Free ports of this machine.

use crate::error::BenchError;
use std::net::TcpListener;

pub(crate) fn free() -> Result<u16, BenchError> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(BenchError::io("a free port"))?;
    Ok(listener.local_addr().map_err(BenchError::io("a free port"))?.port())
}
