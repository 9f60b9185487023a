//! Calls to an address that a client chose: to the addresses that were judged (`egress.rs`) and no
//! others, over a connection that serves this call alone. Nothing is looked up again, and none of these
//! connections gets among those to the operator's own hosts.

use super::*;
use crate::egress::Judged;

impl Transport {
    /// As [`Transport::connect`], to one of `judged`. TLS is with the endpoint's name. A proxy is asked for the
    /// address and not for the name, which it would resolve again.
    pub(crate) async fn connect_to(
        &self,
        judged: &Judged,
        endpoint: &Endpoint,
    ) -> Result<Ready, TransportError> {
        let connection = match timeout(CONNECT, self.way.open_to(judged, endpoint)).await {
            Ok(opened) => opened.map_err(TransportError::Connect)?,
            Err(_) => {
                let why = format!("no connection within {} s", CONNECT.as_secs());
                return Err(TransportError::Connect(why));
            }
        };
        // A pool that no other call looks into: it goes with the connection.
        Ok(Ready { pool: Pool::new(&self.way.budget), connection, reused: false })
    }
}

impl Way {
    async fn open_to(&self, judged: &Judged, endpoint: &Endpoint) -> Result<Connection, String> {
        let scheme = if endpoint.https { Scheme::HTTPS } else { Scheme::HTTP };
        let named = authority(endpoint);
        let uri = Uri::builder().scheme(scheme).authority(named.as_str()).path_and_query("/").build();
        match (uri.ok().and_then(|uri| self.proxies.intercept(&uri)), endpoint.https) {
            (None, false) => handshake(tcp_to(judged).await?, None).await,
            (None, true) => handshake(self.tls(tcp_to(judged).await?, endpoint).await?, None).await,
            (Some(proxy), https) => {
                let address = judged.addresses.first().ok_or("no address")?.to_string();
                let address = Authority::try_from(address).map_err(|error| error.to_string())?;
                let tunnel = tunnel(&proxy, &address).await?;
                match https {
                    true => handshake(self.tls(tunnel, endpoint).await?, None).await,
                    false => handshake(tunnel, None).await,
                }
            }
        }
    }
}

async fn tcp_to(judged: &Judged) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(&judged.addresses[..]).await.map_err(|error| error.to_string())?;
    let [own, peer] = [stream.local_addr(), stream.peer_addr()].map(|end| end.map(|end| end.ip()).ok());
    if !judged.is_listed && (own.is_none() || own == peer) {
        return Err("the address is this host's own".to_owned());
    }
    tuned(stream)
}
