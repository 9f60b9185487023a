//! A forward proxy that knows `CONNECT` and nothing else.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Tunnels every `CONNECT` to one address, whatever name was asked for, so a test needs no name
/// service; dropping it closes everything.
#[derive(Debug)]
pub struct ConnectProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
}

impl ConnectProxy {
    /// Starts a proxy whose tunnels all lead to `target`.
    pub fn start(target: SocketAddr) -> ConnectProxy {
        let listener = StdListener::bind("127.0.0.1:0").expect("loopback has ports");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a bound listener has an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                let listener = TcpListener::from_std(listener).expect("the listener is non-blocking");
                tokio::select! {
                    () = accept(&listener, target, &seen) => {}
                    _ = stopped => {}
                }
            });
        });
        ConnectProxy { address, asked, stop: Some(stop) }
    }

    /// `http://127.0.0.1:PORT`, for `HTTPS_PROXY`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The `host:port` of every tunnel asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no tunnel panics").clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

async fn accept(listener: &TcpListener, target: SocketAddr, asked: &Arc<Mutex<Vec<String>>>) {
    loop {
        if let Ok((client, _)) = listener.accept().await {
            tokio::spawn(tunnel(client, target, asked.clone()));
        }
    }
}

async fn tunnel(mut client: TcpStream, target: SocketAddr, asked: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let Some(name) = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()) else {
        client.write_all(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n").await.ok()?;
        return None;
    };
    asked.lock().expect("no tunnel panics").push(name.to_owned());
    let mut upstream = TcpStream::connect(target).await.ok()?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
    tokio::io::copy_bidirectional(&mut client, &mut upstream).await.ok()?;
    Some(())
}
