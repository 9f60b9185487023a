//! Command lines as a reader would paste them, read by the shell and carried out here, so that neither
//! `curl` nor port 4000 is needed.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;
use tagrail_testkit::Client;

/// The words of a command line, as the shell reads them.
pub(crate) fn words(line: &str) -> Vec<String> {
    let script = format!("show() {{ printf '%s\\0' \"$@\"; }}\nshow {line}");
    let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// Does what `curl -si` would do with these arguments, at another address; gives what it would print.
pub(crate) async fn curl(arguments: &[String], address: SocketAddr) -> String {
    let (mut path, mut headers, mut body) = (None, Vec::new(), None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-H" => headers.push(arguments.next().unwrap().split_once(": ").unwrap()),
            "-d" => body = Some(serde_json::from_str::<Value>(arguments.next().unwrap()).unwrap()),
            "-s" | "-si" | "-sN" | "-siN" => {}
            url => {
                let rest = url.strip_prefix("http://127.0.0.1:").unwrap_or_else(|| panic!("{url}: not ours"));
                path = rest.find('/').map(|at| &rest[at..]);
            }
        }
    }
    let mut client = Client::connect(address).await;
    client.post(path.unwrap(), &headers, &body.unwrap()).await;
    let response = client.response().await;
    let status = http::StatusCode::from_u16(response.status).unwrap();
    let mut text = format!("HTTP/1.1 {status}\n");
    for (name, value) in &response.headers {
        text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
    }
    text + "\n" + &response.text()
}
