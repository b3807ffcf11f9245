//! The secret service: one method per verb. Values come in and never go out.
//!
//! Not for: deciding (`fusion_core::secret`), sealing (`crate::vault`).

use super::refuse::refuse;
use super::{Door, view};
use crate::engine::{Beside, Unsealed, given_to, mask_of};
use crate::vault::{Mask, VALUE_BYTES_MAX, VALUE_BYTES_MIN, Value};
use fusion_core::secret::{SecretUse, SetSecret};
use fusion_core::{AgentId, Caller, Command, Done, Reject, Rights, SecretId, State};
use fusion_proto::v1;
use std::collections::BTreeSet;
use tonic::{Request, Response, Status};

/// The longest name of a secret or of its variable.
const NAME_BYTES_MAX: usize = 64;

#[tonic::async_trait]
impl v1::secret_service_server::SecretService for Door {
    async fn set_secret(
        &self,
        request: Request<v1::SetSecretRequest>,
    ) -> Result<Response<v1::Secret>, Status> {
        let caller = Self::caller(&request)?;
        let v1::SetSecretRequest { name, value, user } = request.into_inner();
        let value = Value::new(value);
        let (owner, owner_name) = self.owner(caller, &user).map_err(|reject| refuse(&reject))?;
        check_value(&name, &value).map_err(|reject| refuse(&reject))?;
        let sealed = self.vault.seal(owner, &name, &value);
        let command = Command::SetSecret(SetSecret { id: SecretId(0), owner, owner_name, name });
        let answer = self
            .engine
            .ask(caller, command, Some(Beside::Sealed(sealed)), |state, _, done| view_of(state, done));
        self.answer_secret(answer.await)
    }

    async fn list_secrets(
        &self,
        request: Request<v1::ListSecretsRequest>,
    ) -> Result<Response<v1::ListSecretsResponse>, Status> {
        let caller = Self::caller(&request)?;
        let user = request.into_inner().user;
        let (owner, _) = self.owner(caller, &user).map_err(|reject| refuse(&reject))?;
        demand_user(caller, "listing secrets").map_err(|reject| refuse(&reject))?;
        let look = move |state: &State, _| {
            let current = state.secrets_of(owner).filter(|secret| secret.is_current());
            let mut secrets: Vec<v1::Secret> = current.map(view::secret::secret).collect();
            secrets.sort_by(|one, other| one.name.cmp(&other.name));
            secrets
        };
        let secrets = self.engine.look(look).await.map_err(|reject| refuse(&reject))?;
        let secrets = secrets.into_iter().map(|secret| self.named_secret(secret)).collect();
        Ok(Response::new(v1::ListSecretsResponse { secrets }))
    }

    async fn remove_secret(
        &self,
        request: Request<v1::RemoveSecretRequest>,
    ) -> Result<Response<v1::Secret>, Status> {
        let caller = Self::caller(&request)?;
        let v1::RemoveSecretRequest { name, user } = request.into_inner();
        let (owner, _) = self.owner(caller, &user).map_err(|reject| refuse(&reject))?;
        let shown = v1::Secret { name: name.clone(), user: owner.0.to_string(), ..v1::Secret::default() };
        let command = Command::RemoveSecret { owner, name };
        let answer = self.engine.ask(caller, command, None, move |_, _, done| {
            Some(v1::Secret { id: secret_of(done).to_string(), ..shown })
        });
        self.answer_secret(answer.await)
    }
}

impl Door {
    fn answer_secret(
        &self,
        answer: Result<Option<v1::Secret>, Reject>,
    ) -> Result<Response<v1::Secret>, Status> {
        let secret = answer.map_err(|reject| refuse(&reject))?.unwrap_or_default();
        Ok(Response::new(self.named_secret(secret)))
    }

    fn named_secret(&self, mut secret: v1::Secret) -> v1::Secret {
        secret.user = self.name_of(&secret.user);
        secret
    }

    /// What must be masked in everything that the attempts of an agent wrote.
    pub(crate) async fn mask_for(&self, agent: AgentId) -> Result<Mask, Status> {
        let look = move |state: &State, _| given_to(state, agent).into_iter().cloned().collect::<Vec<_>>();
        let secrets = self.engine.look(look).await.map_err(|reject| refuse(&reject))?;
        if secrets.is_empty() {
            return Ok(Mask::default());
        }
        let (reader, vault) = (self.engine.reader().clone(), self.vault.clone());
        let open = tokio::task::spawn_blocking(move || mask_of(secrets.iter(), &reader, &vault));
        let opened = open.await.map_err(|error| super::refuse::broken("opening secrets", &error))?;
        opened.map_err(|error: Unsealed| refuse(&Reject::SecretsUnavailable { reason: error.to_string() }))
    }
}

pub(super) fn demand_user(caller: Caller, what: &'static str) -> Result<(), Reject> {
    match caller.rights {
        Rights::Admin | Rights::User => Ok(()),
        Rights::Agent(_) => Err(Reject::NotPermitted { who: caller.actor().to_string(), what }),
    }
}

fn secret_of(done: Done) -> SecretId {
    match done {
        Done::Secret(id) => id,
        Done::Agent(_)
        | Done::Task(_)
        | Done::Same(_)
        | Done::Run(_)
        | Done::SameRun(_)
        | Done::Workflow(_)
        | Done::SameWorkflow(_)
        | Done::Daemon => SecretId(0),
    }
}

fn view_of(state: &State, done: Done) -> Option<v1::Secret> {
    state.secret(secret_of(done)).map(view::secret::secret)
}

fn check_value(name: &str, value: &Value) -> Result<(), Reject> {
    check_name(name)?;
    let bytes = value.expose().len();
    if bytes < VALUE_BYTES_MIN {
        return Err(Reject::SecretTooShort { bytes });
    }
    if bytes > VALUE_BYTES_MAX {
        return Err(Reject::TooLarge { what: "the value of a secret", bytes, limit: VALUE_BYTES_MAX });
    }
    if value.expose().contains(&0) {
        return Err(Reject::NulByte { what: format!("the value of the secret \"{name}\"") });
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Reject> {
    let mut bytes = name.bytes();
    let valid = name.len() <= NAME_BYTES_MAX
        && bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if valid {
        return Ok(());
    }
    Err(Reject::FieldInvalid {
        field: "name",
        value: name.chars().take(NAME_BYTES_MAX).collect(),
        expected: "1 to 64 of a-z, A-Z, 0-9, '_', '.', '-', beginning with a letter, a digit or '_'",
    })
}

/// The secrets that are asked for: each in a variable of its own, which nothing else sets.
pub(crate) fn plan_uses(
    asked: Vec<v1::SecretUse>,
    env: &[(String, String)],
) -> Result<Vec<SecretUse>, Reject> {
    let mut taken: BTreeSet<String> = env.iter().map(|(name, _)| name.clone()).collect();
    let mut uses = Vec::with_capacity(asked.len());
    for v1::SecretUse { name, env } in asked {
        check_name(&name)?;
        let env = if env.is_empty() { name.clone() } else { env };
        let invalid = |expected| Reject::FieldInvalid {
            field: "secret",
            value: format!("{name}={env}").chars().take(2 * NAME_BYTES_MAX).collect(),
            expected,
        };
        if !is_variable(&env) {
            return Err(invalid("NAME=VARIABLE, the variable of letters, digits and '_', not FUSION_"));
        }
        if !taken.insert(env.clone()) {
            return Err(invalid("a variable that is set only once"));
        }
        uses.push(SecretUse { name: name.into(), env: env.into() });
    }
    Ok(uses)
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= NAME_BYTES_MAX
        && !name.starts_with("FUSION_")
        && bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(asked: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Vec<(String, String)>, &'static str> {
        let asked =
            asked.iter().map(|(name, env)| v1::SecretUse { name: (*name).into(), env: (*env).into() });
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let planned = plan_uses(asked.collect(), &env);
        planned
            .map(|uses| uses.into_iter().map(|one| (one.name.into(), one.env.into())).collect())
            .map_err(|reject| reject.code())
    }

    #[test]
    fn a_secret_stands_in_a_variable_of_its_name_or_of_another() {
        let pair = |name: &str, env: &str| (name.to_owned(), env.to_owned());
        assert_eq!(
            uses(&[("TOKEN", ""), ("gh-token", "GH_TOKEN")], &[]).unwrap(),
            [pair("TOKEN", "TOKEN"), pair("gh-token", "GH_TOKEN")]
        );
        assert_eq!(uses(&[("gh-token", "")], &[]), Err("field_invalid"));
        assert_eq!(uses(&[("TOKEN", "FUSION_SOCKET")], &[]), Err("field_invalid"));
        assert_eq!(uses(&[("A", ""), ("B", "A")], &[]), Err("field_invalid"));
        assert_eq!(uses(&[("A", "")], &[("A", "x")]), Err("field_invalid"));
    }

    #[test]
    fn a_value_has_a_length_and_no_nul() {
        let code =
            |value: &[u8]| check_value("T", &Value::new(value.to_vec())).err().map(|reject| reject.code());
        assert_eq!(code(b"1234"), None);
        assert_eq!(code(b"123"), Some("secret_too_short"));
        assert_eq!(code(b"12\x0034"), Some("nul_byte"));
        assert_eq!(code(&vec![b'x'; VALUE_BYTES_MAX + 1]), Some("too_large"));
        assert_eq!(check_name("-x").err().map(|reject| reject.code()), Some("field_invalid"));
    }
}
