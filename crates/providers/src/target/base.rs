//! A base URL, taken apart once: what is connected to, and what stands in front of every path.

use http::Uri;
use http::uri::PathAndQuery;

use super::{Endpoint, TlsVerify};

/// A base URL's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) endpoint: Endpoint,
    /// Path without a trailing slash: `/v1`, or nothing.
    pub(crate) path: String,
    /// What stood behind `?`.
    pub(crate) query: Option<String>,
    /// Host and port as they were written, for the `Host` header.
    pub(crate) authority: String,
    /// Paths behind the base's, by tail: made once, since every call needs one.
    paths: Vec<(&'static str, PathAndQuery)>,
}

/// Every tail that a provider puts behind its base.
const TAILS: [&str; 7] =
    ["", "chat/completions", "completions", "embeddings", "messages", "responses", "v1/messages"];

impl Base {
    /// Takes a base URL apart.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with it.
    pub(crate) fn parse(text: &str) -> Result<Base, &'static str> {
        if text.contains('#') {
            return Err("must not have a fragment (#)");
        }
        let https = match text.split_once("://") {
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => true,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => false,
            _ => return Err("must begin with http:// or https://"),
        };
        let uri: Uri = text.parse().map_err(|_| "is not a URL")?;
        let authority = uri.authority().ok_or("has no host")?;
        if authority.as_str().contains('@') {
            return Err("must not carry a user name or password; use api_key or extra_headers");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("has no host");
        }
        if authority.as_str() != authority.host() && authority.port_u16().is_none_or(|port| port == 0) {
            return Err("has a port that is none");
        }
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        let mut base = Base {
            endpoint: Endpoint {
                https,
                host: host.to_ascii_lowercase(),
                port,
                tls_verify: TlsVerify::System,
            },
            path: uri.path().trim_end_matches('/').to_owned(),
            query: uri.query().filter(|query| !query.is_empty()).map(str::to_owned),
            authority: authority.as_str().to_owned(),
            paths: Vec::new(),
        };
        base.paths = TAILS.iter().map(|tail| (*tail, base.path_to(tail))).collect();
        Ok(base)
    }

    /// A path behind the base's, and the base's query behind that.
    pub(crate) fn path_to(&self, tail: &str) -> PathAndQuery {
        if let Some((_, path)) = self.paths.iter().find(|(known, _)| *known == tail) {
            return path.clone();
        }
        let slash = if tail.is_empty() && !self.path.is_empty() { "" } else { "/" };
        let query = self.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
        let path = format!("{}{slash}{tail}{query}", self.path);
        // Of a URL's own path and query, and of plain letters.
        PathAndQuery::try_from(path).unwrap_or_else(|_| PathAndQuery::from_static("/"))
    }
}

/// A configured base as the response header shows it: verbatim, without its query.
pub(crate) fn without_query(text: &str) -> &str {
    text.split('?').next().unwrap_or(text)
}

/// A base that is no base, as an error may show it: what may be a password or a key is left out.
pub(crate) fn presentable(text: &str) -> String {
    let shown = text.split(['?', '#']).next().unwrap_or(text);
    match shown.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        // A password with a `?` in it, or an address in the query: nobody can tell.
        None if text.contains('@') => "***".to_owned(),
        None => shown.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_taken_apart() {
        for (text, https, host, port, path, query, authority) in [
            ("https://api.openai.com/v1", true, "api.openai.com", 443, "/v1", None, "api.openai.com"),
            ("http://127.0.0.1:8080/", false, "127.0.0.1", 8080, "", None, "127.0.0.1:8080"),
            ("http://[::1]:9/a/b//", false, "::1", 9, "/a/b", None, "[::1]:9"),
            ("https://[fe80::1]", true, "fe80::1", 443, "", None, "[fe80::1]"),
            (
                "https://Host.example/v1?api-version=1&x",
                true,
                "host.example",
                443,
                "/v1",
                Some("api-version=1&x"),
                "Host.example",
            ),
            ("http://h?", false, "h", 80, "", None, "h"),
        ] {
            let base = Base::parse(text).unwrap();
            let endpoint = Endpoint { https, host: host.to_owned(), port, tls_verify: TlsVerify::System };
            assert_eq!(base.endpoint, endpoint, "{text}");
            assert_eq!(
                (base.path.as_str(), base.query.as_deref(), base.authority.as_str()),
                (path, query, authority)
            );
        }
    }

    #[test]
    fn what_is_no_base_is_refused() {
        for (text, why) in [
            ("api.openai.com/v1", "http"),
            ("ftp://h/", "http"),
            ("http://user:pw@h/", "user name"),
            ("http://h/#x", "fragment"),
            ("http://h:99999/", "port"),
            ("http://h:/", "port"),
            ("http://h:0/", "port"),
            ("http:///v1", "URL"),
            ("http://h h/", "URL"),
            ("", "http"),
        ] {
            let error = Base::parse(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn errors_do_not_show_credentials() {
        assert_eq!(presentable("http://user:p@w@h/v1?key=x"), "***@h/v1");
        assert_eq!(presentable("h/v1?key=x"), "h/v1");
        assert_eq!(presentable("http://h/#key"), "http://h/");
        assert_eq!(presentable("http://user:p?w@h/v1"), "***");
    }
}
