//! Ids of stored responses (row D36): which deployment has a response, and who may continue it.
//!
//! To clients a response is `resp_tr1_` and base64url of: the length of the deployment's id (two bytes, big
//! endian), that id, the owner's tag (16 bytes), the upstream's id, and the first 16 bytes of an
//! HMAC-SHA-256 over all of it. Nothing is stored: every gateway with the same `LITELLM_SALT_KEY`, or the
//! same master key, reads what the others have made, also after a restart.
//!
//! The owner is the team of the key that made the call, else its user, else the key itself. Its tag is an
//! HMAC as well, so that an id tells neither team nor key.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tagrail_config::GeneralSettings;
use tagrail_providers::{NameResponses, Operation, ResponseNames};
use tagrail_routing::DeploymentIndex;

use crate::{Call, Caller, Identity, Refusal, ResponseRefusal, Snapshot};

/// How the ids begin, their version included: it is signed too.
const PREFIX: &str = "resp_tr1_";
/// Bytes of an owner's tag, and of the signature.
const TAG: usize = 16;
/// What the key of these ids is derived with.
const PURPOSE: &[u8] = b"tagrail: ids of stored responses, version 1";

/// Makes and reads ids under one configuration's key.
pub(crate) struct ResponseIds(hmac::Key);

/// What a genuine id says.
#[derive(Debug, PartialEq, Eq)]
struct Opened {
    deployment: String,
    owner: [u8; TAG],
    upstream: String,
}

/// A response that a call continues.
#[derive(Debug)]
pub(crate) struct Continued {
    /// Who has it; `None` where that is not known: the operator's own id of the upstream's.
    pub(crate) deployment: Option<DeploymentIndex>,
    /// Its id there.
    upstream: String,
    /// Its id as the client sent it.
    sent: String,
}

impl ResponseIds {
    /// Without a master key only loopback is served, and ids live as long as the process.
    pub(crate) fn new(general: &GeneralSettings) -> ResponseIds {
        let secret = general.salt_key.as_ref().or(general.master_key.as_ref());
        let secret = secret.map_or(&process_secret()[..], |secret| secret.reveal().as_bytes());
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), PURPOSE);
        ResponseIds(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    fn seal(&self, deployment: &str, owner: [u8; TAG], upstream: &str) -> String {
        // A deployment's id that is longer than 64 KiB cannot be one of a configuration that loads.
        let length = u16::try_from(deployment.len()).unwrap_or(u16::MAX);
        let deployment = &deployment.as_bytes()[..usize::from(length)];
        let mut bytes = Vec::with_capacity(2 + deployment.len() + TAG + upstream.len() + TAG);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(deployment);
        bytes.extend_from_slice(&owner);
        bytes.extend_from_slice(upstream.as_bytes());
        let mac = self.mac(&[PREFIX.as_bytes(), &bytes]);
        bytes.extend_from_slice(&mac);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// `None` for whatever [`ResponseIds::seal`] has not made under this key.
    fn open(&self, id: &str) -> Option<Opened> {
        let bytes = URL_SAFE_NO_PAD.decode(id.strip_prefix(PREFIX)?).ok()?;
        let (bytes, mac) = bytes.split_last_chunk::<TAG>()?;
        verify_slices_are_equal(&self.mac(&[PREFIX.as_bytes(), bytes]), mac).ok()?;
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (deployment, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let (owner, upstream) = rest.split_first_chunk::<TAG>()?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some(Opened { deployment: text(deployment)?, owner: *owner, upstream: text(upstream)? })
    }

    /// Who a response belongs to that is made on this caller's behalf. `None` is the operator, whose tag is
    /// no other's.
    fn owner(&self, caller: &Caller) -> [u8; TAG] {
        let Identity { key, team, user, .. } = &caller.identity;
        let (kind, id): (&[u8], &str) = match (&caller.policy, team, user) {
            (None, _, _) => (b"operator", ""),
            (_, Some(team), _) => (b"team", team),
            (_, None, Some(user)) => (b"user", user),
            (_, None, None) => (b"key", key),
        };
        self.mac(&[b"owner\0", kind, b"\0", id.as_bytes()])
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; TAG] {
        let mut context = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| context.update(part));
        let mut mac = [0; TAG];
        mac.copy_from_slice(&context.sign().as_ref()[..TAG]);
        mac
    }
}

/// Drawn once, for a gateway without a master key.
fn process_secret() -> &'static [u8; 32] {
    static SECRET: OnceLock<[u8; 32]> = OnceLock::new();
    SECRET.get_or_init(|| {
        let mut secret = [0; 32];
        // It fails only where the system has no randomness at all; then ids are as the upstream's are: not
        // a secret of anybody's, on a loopback address.
        let _ = rand::fill(&mut secret);
        secret
    })
}

/// The stored response that a call continues; `None` where it continues none. In a program the ids are
/// the upstream's, and whose they are is the program's to know.
///
/// # Errors
/// The response is not the caller's to continue, or its deployment is gone. A response that is another's
/// is refused in the words that one gets which does not exist.
pub(crate) fn continued(snapshot: &Snapshot, call: &Call) -> Result<Option<Continued>, Refusal> {
    if call.operation != Operation::Responses || call.in_process {
        return Ok(None);
    }
    let state = call.envelope.stored_state().map_err(Refusal::Body)?;
    let is_operator = call.caller.policy.is_none();
    let takes_unmanaged = is_operator || snapshot.general.allow_unmanaged_response_ids;
    if state.conversation && !takes_unmanaged {
        return Err(Refusal::Response(ResponseRefusal::Conversation));
    }
    let Some(sent) = state.previous_response else { return Ok(None) };
    let sent = sent.into_owned();
    let Some(opened) = snapshot.response_ids.open(&sent) else {
        // Of an id that looks like one of these, no upstream knows anything.
        if takes_unmanaged && !sent.starts_with(PREFIX) {
            let upstream = sent.clone();
            return Ok(Some(Continued { deployment: None, upstream, sent }));
        }
        return Err(Refusal::Response(ResponseRefusal::NotFound { id: sent }));
    };
    if !is_operator && opened.owner != snapshot.response_ids.owner(&call.caller) {
        return Err(Refusal::Response(ResponseRefusal::NotFound { id: sent }));
    }
    let Some(deployment) = snapshot.table.by_id(&opened.deployment) else {
        return Err(Refusal::Response(ResponseRefusal::Gone { id: sent }));
    };
    Ok(Some(Continued { deployment: Some(deployment), upstream: opened.upstream, sent }))
}

/// How the responses of a call are named that this deployment answers; `None` leaves the upstream's ids.
pub(crate) fn names(
    snapshot: &Arc<Snapshot>,
    call: &Call,
    deployment: DeploymentIndex,
    continued: Option<Continued>,
) -> Option<ResponseNames> {
    if call.operation != Operation::Responses || call.in_process {
        return None;
    }
    let owner = snapshot.response_ids.owner(&call.caller);
    let previous = continued.as_ref().map(|continued| continued.upstream.clone());
    let names = Sealing { snapshot: snapshot.clone(), deployment, owner, continued };
    Some(ResponseNames { names: Arc::new(names), previous })
}

/// Makes the ids of one attempt.
struct Sealing {
    snapshot: Arc<Snapshot>,
    deployment: DeploymentIndex,
    owner: [u8; TAG],
    continued: Option<Continued>,
}

impl NameResponses for Sealing {
    fn name(&self, upstream: &str) -> String {
        match &self.continued {
            Some(continued) if continued.upstream == upstream => continued.sent.clone(),
            _ => {
                let deployment = &self.snapshot.spec(self.deployment).id;
                self.snapshot.response_ids.seal(deployment, self.owner, upstream)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use serde_json::json;
    use tagrail_config::load_text;

    use super::*;

    fn ids(master: Option<&str>, salt: Option<&str>) -> ResponseIds {
        let one = json!({"model_name": "g", "litellm_params": {"model": "openai/m", "api_key": "k"}});
        let config = json!({"model_list": [one], "general_settings": {"master_key": master}}).to_string();
        let env = |name: &str| salt.filter(|_| name == "LITELLM_SALT_KEY").map(str::to_owned);
        let loaded = load_text(&config, Path::new("test.yaml"), &env);
        ResponseIds::new(&loaded.resolved.unwrap().general)
    }

    fn caller(team: Option<&str>, user: Option<&str>, key: &str) -> Caller {
        let [team, user] = [team, user].map(|id| id.map(str::to_owned));
        let identity = Identity { key: key.to_owned(), team, user, ..Identity::default() };
        Caller { identity, ..Caller::confined() }
    }

    #[test]
    fn the_owner_is_the_team_else_the_user_else_the_key() {
        let ids = ids(Some("sk-1"), None);
        let owner = |team, user, key| ids.owner(&caller(team, user, key));
        assert_eq!(owner(Some("t"), Some("u"), "k"), owner(Some("t"), Some("v"), "l"));
        assert_eq!(owner(None, Some("u"), "k"), owner(None, Some("u"), "l"));
        assert_ne!(owner(None, None, "k"), owner(None, None, "l"));
        let all = [owner(Some("x"), None, ""), owner(None, Some("x"), ""), owner(None, None, "x")];
        let operator = ids.owner(&Caller::default());
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2] && !all.contains(&operator));
    }

    #[test]
    fn gateways_with_one_key_read_each_others_ids_and_others_do_not() {
        let id = ids(Some("sk-1"), None).seal("d", [7; TAG], "resp_1");
        assert!(ids(Some("sk-1"), None).open(&id).is_some());
        assert!(ids(Some("sk-2"), None).open(&id).is_none());
        assert!(ids(None, None).open(&id).is_none());
        assert!(ids(Some("sk-1"), Some("salt")).open(&id).is_none());
        let id = ids(Some("sk-1"), Some("salt")).seal("d", [7; TAG], "resp_1");
        assert!(ids(Some("sk-2"), Some("salt")).open(&id).is_some(), "the master key may change");
        let id = ids(None, None).seal("d", [7; TAG], "resp_1");
        assert!(ids(None, None).open(&id).is_some(), "a reload is no restart");
    }

    #[test]
    fn an_id_that_was_changed_anywhere_is_none() {
        let ids = ids(Some("sk-1"), None);
        let id = ids.seal("deployment", [7; TAG], "resp_1");
        assert_eq!(ids.open(&id).unwrap().upstream, "resp_1");
        for at in 0..id.len() {
            for byte in (b'-'..=b'z').filter(|byte| *byte != id.as_bytes()[at]) {
                let mut other = id.clone().into_bytes();
                other[at] = byte;
                let Ok(other) = String::from_utf8(other) else { continue };
                assert_eq!(ids.open(&other), None, "{other}");
            }
            assert_eq!(ids.open(&id[..at]), None);
        }
        for other in
            [format!("{id}A"), format!("{id}="), format!(" {id}"), id.replace("tr1", "tr2"), String::new()]
        {
            assert_eq!(ids.open(&other), None, "{other}");
        }
        // What is signed for another purpose or shifted between the fields is not this id.
        let shifted = ids.seal("deploymentr", [7; TAG], "esp_1");
        assert_ne!(shifted, id);
        let raw = URL_SAFE_NO_PAD.decode(&id[PREFIX.len()..]).unwrap();
        let mut moved = raw.clone();
        moved[1] += 1;
        assert_eq!(ids.open(&format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(moved))), None);
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(deployment in "\\PC{0,80}", owner: [u8; TAG], upstream in "\\PC{0,80}") {
            let ids = ids(Some("sk-1"), None);
            let id = ids.seal(&deployment, owner, &upstream);
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            prop_assert!(id.bytes().all(is_plain), "{id}");
            prop_assert_eq!(&id, &ids.seal(&deployment, owner, &upstream));
            prop_assert_eq!(ids.open(&id), Some(Opened { deployment, owner, upstream }));
        }

        #[test]
        fn anything_else_is_not(text in "(resp_tr1_)?\\PC{0,200}") {
            prop_assert_eq!(ids(Some("sk-1"), None).open(&text), None);
        }
    }
}
