//! Why an exchange would be allowed or refused, without doing it: the very decision of the
//! token endpoint, on the same records, for a token that is shown or only imagined.

use super::api::{
    Explain, ExplainFederated, ExplainSubject, Explained, Granted, PolicyExplained, RuleExplained, Verdict, VerdictWord,
};
use super::caller::Caller;
use super::limits::MAX_EXPLAINED_LINEAGE;
use super::problem::Refusal;
use super::roles::Action;
use super::session::Session;
use crate::federation::{IssuerUse, Vouched, federated_subject};
use crate::grant::{SubjectType, TOKEN_EXCHANGE, build_exchange, subject as read_subject};
use crate::limits::{MAX_TARGETS, MAX_TTL_SECONDS};
use crate::policy::{self, Cited, TokenQuestion};
use crate::reason::Reason;
use crate::records::Client;
use std::sync::Arc;
use stipend_token::lineage::Lineage;
use stipend_token::narrow::{self, Narrowed, RuleVerdict, Target};
use stipend_token::{AccessToken, ActorChain, Audience, Environment, ScopeSet, id};

pub(super) async fn explain(session: &Session<'_>, question: &Explain) -> Result<Explained, Refusal> {
    let caller = session.caller();
    let app = session.app;
    let actor = find_client(session, caller, &question.actor).await?.ok_or_else(Refusal::not_found)?;
    if question.audience.len() > MAX_TARGETS {
        return Err(Refusal::field("/audience", format!("names at most {MAX_TARGETS} resources")));
    }
    let scope = question
        .scope
        .as_deref()
        .map(|text| ScopeSet::parse(text).map_err(|error| Refusal::field("/scope", error.to_string())))
        .transpose()?;
    let now = session.now();
    if !actor.stands(now) {
        return Ok(refused(Reason::ClientNotActive));
    }
    let (subject, owners, vouched) = match subject(session, question, &actor).await? {
        Ok(subject) => subject,
        Err(reason) => return Ok(refused(reason)),
    };
    let actor_token = question.actor_token_present.then(|| own_token(session, &actor));
    let exchanged = match build_exchange(app, &actor, &subject, &question.audience).await? {
        Ok(exchanged) => exchanged.leading_abroad(question.id_jag).vouched_for(vouched),
        Err((reason, _)) => return Ok(refused(reason)),
    };
    let owners: Vec<&str> = owners.iter().map(String::as_str).collect();
    let targets = exchanged.targets();
    let exchange = exchanged.exchange(app, &actor, &subject, &owners, actor_token.as_ref(), scope.as_ref(), &targets);
    let rules = describe_rules(narrow::explain(&exchange), &targets);
    let narrowed = match narrow::decide(&exchange) {
        Ok(narrowed) => narrowed,
        Err(refusal) => return Ok(Explained { rules, ..refused(refusal.into()) }),
    };
    if let Some(policies) = forbidden(session, question, (&actor, &subject), &narrowed).await? {
        return Ok(Explained { rules, policies, ..refused(Reason::PolicyDenied) });
    }
    let granted = Granted {
        aud: narrowed.aud,
        scope: narrowed.scope,
        act: narrowed.act.to_json(),
        expires_in: narrowed.exp.saturating_sub(now),
        mode: narrowed.mode,
        rules: narrowed.rules,
        approvers: narrowed.approvers,
    };
    Ok(Explained { allowed: true, error: None, reason: None, granted: Some(granted), rules, policies: Vec::new() })
}

/// What policies say of a token that rules allow, as far as it is known here. `Some`: it is
/// refused, by these and by what the caller may not see.
async fn forbidden(
    session: &Session<'_>,
    asked: &Explain,
    (actor, subject): (&Client, &AccessToken),
    narrowed: &Narrowed,
) -> Result<Option<Vec<PolicyExplained>>, Refusal> {
    let claims = AccessToken {
        client_id: actor.id.clone(),
        aud: narrowed.aud.clone(),
        scope: narrowed.scope.clone(),
        lineage: narrowed.lineage.clone(),
        act: narrowed.act.clone(),
        exp: narrowed.exp,
        ..subject.clone()
    };
    let question = TokenQuestion {
        client: actor,
        grant_type: TOKEN_EXCHANGE,
        exchange: true,
        claims: &claims,
        amounts: &[],
        source: asked.source,
        now: session.now(),
    };
    let admission = policy::of_token(&session.app.records, &question).await?;
    if !admission.is_denied() {
        return Ok(None);
    }
    let mut visible = Vec::new();
    for cited in admission.denied() {
        if super::policies::find(session, &cited.policy).await.is_ok() {
            let Cited { policy, version, statement, .. } = cited.clone();
            visible.push(PolicyExplained { policy, version, statement });
        }
    }
    Ok(Some(visible))
}

fn refused(reason: Reason) -> Explained {
    Explained {
        allowed: false,
        error: Some(reason.code().error().to_owned()),
        reason: Some(reason.as_str().to_owned()),
        granted: None,
        rules: Vec::new(),
        policies: Vec::new(),
    }
}

/// A client that the caller may see.
async fn find_client(session: &Session<'_>, caller: &Caller, client_id: &str) -> Result<Option<Arc<Client>>, Refusal> {
    // Also keeps out what no text column could hold.
    if !id::is_identifier(client_id) {
        return Ok(None);
    }
    let client = session.app.records.find_client(client_id).await?;
    Ok(client.filter(|client| caller.may(Action::ReadAgent, Some(&client.owner_id))))
}

type Subject = (AccessToken, Vec<String>, Option<Arc<Vouched>>);

/// The subject token, the owners of its parties, and who vouches for one that is not ours.
async fn subject(
    session: &Session<'_>,
    question: &Explain,
    actor: &Client,
) -> Result<Result<Subject, Reason>, Refusal> {
    match (&question.subject_token, &question.subject, &question.federated) {
        (Some(token), None, None) => shown(session, token, actor).await,
        (None, Some(imagined), None) => imagine(session, imagined).await,
        (None, None, Some(imagined)) => imagine_federated(session, imagined, actor).await,
        _ => Err(Refusal::field("/subject", "give one of subject_token, subject and federated")),
    }
}

/// A token that is shown: ours, or a trusted issuer's of whatever kind.
async fn shown(session: &Session<'_>, token: &str, actor: &Client) -> Result<Result<Subject, Reason>, Refusal> {
    let (app, now) = (session.app, session.now());
    let mut read = read_subject(app, actor, token, SubjectType::Jwt, now).await;
    if matches!(read, Err((Reason::SubjectAudience, _))) {
        // An access token may be for others as well, which no other kind may.
        let other = read_subject(app, actor, token, SubjectType::AccessToken, now).await;
        read = if matches!(other, Err((Reason::SubjectType, _))) { read } else { other };
    }
    match read {
        Ok(standing) => Ok(Ok((standing.token.claims.clone(), standing.owners, standing.federated))),
        Err((Reason::StoreUnavailable, _)) => Err(Refusal::unavailable()),
        Err((reason, _)) => Ok(Err(reason)),
    }
}

/// A subject of an issuer that the caller may see.
async fn imagine_federated(
    session: &Session<'_>,
    imagined: &ExplainFederated,
    actor: &Client,
) -> Result<Result<Subject, Reason>, Refusal> {
    let known = id::is_identifier(&imagined.issuer);
    let issuer = if known { session.app.records.find_issuer_by_id(&imagined.issuer).await? } else { None };
    let issuer = issuer.filter(|issuer| session.caller().may(Action::ReadIssuer, Some(&issuer.owner_id)));
    let issuer = issuer.ok_or_else(Refusal::not_found)?;
    super::check::text("/federated/subject", &imagined.subject, 1, super::limits::MAX_SUBJECT_BYTES)?;
    if !issuer.active {
        return Ok(Err(Reason::SubjectIssuerOff));
    }
    if !issuer.permits(IssuerUse::SubjectToken) {
        return Ok(Err(Reason::SubjectIssuerUse));
    }
    let env = issuer.spec.environment.unwrap_or(actor.environment);
    let sub = federated_subject(&issuer.id, None, &imagined.subject);
    let token = token(session, &actor.id, sub, Vec::new(), ScopeSet::default(), env, session.now());
    let (iss, name) = (issuer.issuer.clone(), imagined.subject.clone());
    let vouched = Vouched { issuer: issuer.id.clone(), iss, name, act: None, aud: Vec::new(), evidence: None };
    Ok(Ok((token, vec![issuer.owner_id.clone()], Some(Arc::new(vouched)))))
}

async fn imagine(session: &Session<'_>, imagined: &ExplainSubject) -> Result<Result<Subject, Reason>, Refusal> {
    let scope =
        ScopeSet::parse(&imagined.scope).map_err(|error| Refusal::field("/subject/scope", error.to_string()))?;
    let act = match &imagined.act {
        Some(act) => ActorChain::from_json(&serde_json::Value::Object(act.clone()))
            .map_err(|error| Refusal::field("/subject/act", error.to_string()))?,
        None => ActorChain::default(),
    };
    if imagined.audience.is_empty() || imagined.audience.len() > MAX_TARGETS {
        return Err(Refusal::field("/subject/audience", format!("names 1 to {MAX_TARGETS} resources")));
    }
    if imagined.lineage_clients.len() > MAX_EXPLAINED_LINEAGE {
        return Err(Refusal::field(
            "/subject/lineage_clients",
            format!("names at most {MAX_EXPLAINED_LINEAGE} clients"),
        ));
    }
    let mut owners: Vec<String> = Vec::new();
    let mut own_sub = id::agent_subject(&imagined.client_id);
    for client in [&imagined.client_id].into_iter().chain(&imagined.lineage_clients) {
        // The owner is in the id, so that nothing needs to be known of a hidden client.
        let owner = client.split_once('.').map(|(owner, _)| owner.to_owned());
        let owner = owner.ok_or_else(|| Refusal::field("/subject/client_id", "is not the id of a client"))?;
        let visible = find_client(session, session.caller(), client).await?;
        if visible.as_ref().is_some_and(|client| !client.stands(session.now())) {
            return Ok(Err(Reason::SubjectNotStanding));
        }
        if let Some(known) = visible.filter(|known| known.id == imagined.client_id) {
            own_sub.clone_from(&known.subject);
        }
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    let now = session.now();
    let lineage = Lineage {
        tokens: imagined.lineage_clients.iter().map(|client| format!("t_of_{client}")).collect(),
        clients: imagined.lineage_clients.clone(),
    };
    let sub = imagined.sub.clone().unwrap_or(own_sub);
    let env = imagined.environment.unwrap_or(Environment::Live);
    let token = token(session, &imagined.client_id, sub, imagined.audience.clone(), scope, env, now);
    Ok(Ok((AccessToken { act, lineage, ..token }, owners, None)))
}

/// The token the actor would send to prove itself.
fn own_token(session: &Session<'_>, actor: &Client) -> AccessToken {
    let (now, env) = (session.now(), actor.environment);
    token(session, &actor.id, actor.subject.clone(), Vec::new(), ScopeSet::default(), env, now)
}

fn token(
    session: &Session<'_>,
    client_id: &str,
    sub: String,
    aud: Vec<Audience>,
    scope: ScopeSet,
    env: Environment,
    now: i64,
) -> AccessToken {
    AccessToken {
        iss: session.app.urls.issuer.clone(),
        sub,
        sub_profile: None,
        client_id: client_id.to_owned(),
        aud,
        scope,
        jti: "t_imagined".to_owned(),
        lineage: Lineage::default(),
        iat: now,
        exp: now.saturating_add(MAX_TTL_SECONDS),
        env,
        act: ActorChain::default(),
        may_act: None,
        user: stipend_token::UserContext::default(),
        cnf: None,
        status: None,
        budget: None,
        authorization_details: None,
    }
}

fn describe_rules(verdicts: Vec<(&str, Vec<RuleVerdict>)>, targets: &[Target<'_>]) -> Vec<RuleExplained> {
    let each = |verdicts: Vec<RuleVerdict>| {
        verdicts.into_iter().zip(targets).map(|(verdict, target)| describe(verdict, target.audience)).collect()
    };
    verdicts.into_iter().map(|(id, verdicts)| RuleExplained { id: id.to_owned(), verdicts: each(verdicts) }).collect()
}

fn describe(verdict: RuleVerdict, audience: &Audience) -> Verdict {
    let mut said = Verdict { audience: audience.clone(), verdict: VerdictWord::Allows, scope: None, owner: None };
    said.verdict = match verdict {
        RuleVerdict::Allows(scope) => {
            said.scope = Some(scope);
            VerdictWord::Allows
        }
        RuleVerdict::NotAcceptedBy(owner) => {
            said.owner = Some(owner);
            VerdictWord::NotAccepted
        }
        RuleVerdict::Disabled => VerdictWord::Disabled,
        RuleVerdict::OtherActor => VerdictWord::OtherActor,
        RuleVerdict::OtherSubject => VerdictWord::OtherSubject,
        RuleVerdict::OtherAudience => VerdictWord::OtherAudience,
        RuleVerdict::OtherOrigin => VerdictWord::OtherOrigin,
        RuleVerdict::Impersonates => VerdictWord::Impersonates,
        RuleVerdict::ScopeExceeded => VerdictWord::ScopeExceeded,
        RuleVerdict::OtherForm => VerdictWord::OtherForm,
    };
    said
}
