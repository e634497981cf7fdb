//! Rust's `oauth2` crate as the client. It has no request for token exchange, so it reads
//! the answer of one.

use crate::company::{Company, LEDGER, ORDERS};
use oauth2::basic::{
    BasicClient, BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse, BasicTokenResponse,
};
use oauth2::{
    AccessToken, AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    IntrospectionUrl, RequestTokenError, RevocationErrorResponseType, RevocationUrl, Scope, StandardRevocableToken,
    TokenIntrospectionResponse, TokenResponse, TokenUrl,
};
use stipend::testing::TestClient;

type Set = BasicClient<EndpointNotSet, EndpointNotSet, EndpointSet, EndpointSet, EndpointSet>;
type Refused<E> = RequestTokenError<reqwest::Error, E>;

/// A client with every endpoint that its kind of server has.
fn client(company: &Company, who: &TestClient, auth: AuthType) -> Set {
    let url = |path: &str| company.server.url(path);
    // The crate revokes over https alone; the carrier below is the proxy that ends it.
    let revocation = url("/oauth2/revoke").replace("http://", "https://");
    BasicClient::new(ClientId::new(who.id.clone()))
        .set_client_secret(ClientSecret::new(who.secret.clone()))
        .set_auth_type(auth)
        .set_token_uri(TokenUrl::new(url("/oauth2/token")).unwrap())
        .set_introspection_url(IntrospectionUrl::new(url("/oauth2/introspect")).unwrap())
        .set_revocation_url(RevocationUrl::new(revocation).unwrap())
}

fn basic(company: &Company, who: &TestClient) -> Set {
    client(company, who, AuthType::BasicAuth)
}

async fn carry(request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
    let mut request = reqwest::Request::try_from(request)?;
    request.url_mut().set_scheme("http").unwrap();
    let answer = http.execute(request).await?;
    let mut response = http::Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        response = response.header(name, value);
    }
    Ok(response.body(answer.bytes().await?.to_vec()).unwrap())
}

async fn token(
    client: &Set,
    resource: &str,
    scopes: &[&str],
) -> Result<BasicTokenResponse, Refused<BasicErrorResponse>> {
    let scopes = scopes.iter().map(|scope| Scope::new((*scope).to_owned()));
    let request = client.exchange_client_credentials().add_scopes(scopes).add_extra_param("resource", resource);
    request.request_async(&carry).await
}

async fn active(company: &Company, token: &AccessToken) -> bool {
    let service = basic(company, &company.service);
    service.introspect(token).request_async(&carry).await.unwrap().active()
}

fn code(refused: Refused<BasicErrorResponse>) -> BasicErrorResponseType {
    match refused {
        RequestTokenError::ServerResponse(answer) => answer.error().clone(),
        other => panic!("no answer of the server: {other:?}"),
    }
}

#[tokio::test]
async fn client_credentials_by_basic_and_in_the_body() {
    let company = Company::new().await;
    let answer = token(&basic(&company, &company.planner), ORDERS, &["read", "write"]).await.unwrap();
    let scopes: Vec<&str> = answer.scopes().unwrap().iter().map(|scope| scope.as_str()).collect();
    assert_eq!(scopes, ["read", "write"]);
    assert_eq!(answer.token_type(), &oauth2::basic::BasicTokenType::Bearer);
    assert!(answer.expires_in().unwrap().as_secs() <= 300);
    assert!(answer.refresh_token().is_none());
    let post = client(&company, &company.post, AuthType::RequestBody);
    assert!(token(&post, ORDERS, &[]).await.is_ok());
}

#[tokio::test]
async fn the_answer_of_an_exchange_is_a_token_response() {
    let company = Company::new().await;
    let subject = token(&basic(&company, &company.planner), ORDERS, &[]).await.unwrap();
    let (_, body) = company
        .server
        .exchange(&company.refunds, subject.access_token().secret(), &[("scope", "refund"), ("resource", ORDERS)])
        .await;
    let answer: BasicTokenResponse = serde_json::from_value(body).unwrap();
    assert_eq!(answer.scopes().unwrap(), &[Scope::new("refund".to_owned())]);
    assert!(answer.expires_in() <= subject.expires_in());
    assert!(active(&company, answer.access_token()).await);
}

#[tokio::test]
async fn introspection_tells_what_the_token_says() {
    let company = Company::new().await;
    let answer = token(&basic(&company, &company.planner), ORDERS, &["read"]).await.unwrap();
    let service = basic(&company, &company.service);
    let told = service.introspect(answer.access_token()).request_async(&carry).await.unwrap();
    assert!(told.active());
    assert_eq!(told.client_id().unwrap().as_str(), company.planner.id);
    assert_eq!(told.scopes().unwrap(), &[Scope::new("read".to_owned())]);
    assert_eq!((told.iss(), told.sub()), (Some(company.server.issuer.as_str()), Some("agent:acme.planner")));
    assert_eq!(told.aud().unwrap(), &[ORDERS.to_owned()]);
    assert!(told.exp().unwrap() > told.iat().unwrap());
    assert!(!active(&company, &AccessToken::new("nonsense".to_owned())).await);
}

#[tokio::test]
async fn revocation_ends_the_token_for_its_client_alone() {
    let company = Company::new().await;
    let planner = basic(&company, &company.planner);
    let answer = token(&planner, ORDERS, &[]).await.unwrap();
    let revocable = || StandardRevocableToken::from(answer.access_token().clone());
    let refunds = basic(&company, &company.refunds);
    let refused = refunds.revoke_token(revocable()).unwrap().request_async(&carry).await.unwrap_err();
    let RequestTokenError::ServerResponse(refused) = refused else { panic!("{refused:?}") };
    let refused: BasicRevocationErrorResponse = refused;
    assert_eq!(refused.error(), &RevocationErrorResponseType::Basic(BasicErrorResponseType::UnauthorizedClient));
    assert!(active(&company, answer.access_token()).await);
    planner.revoke_token(revocable()).unwrap().request_async(&carry).await.unwrap();
    assert!(!active(&company, answer.access_token()).await);
}

#[tokio::test]
async fn every_refusal_is_the_crates_error_type() {
    let company = Company::new().await;
    let planner = basic(&company, &company.planner);
    let refused = token(&planner, ORDERS, &["nothing-of-the-kind"]).await.unwrap_err();
    assert_eq!(code(refused), BasicErrorResponseType::InvalidScope);
    let refused = token(&basic(&company, &company.refunds), LEDGER, &[]).await.unwrap_err();
    assert_eq!(code(refused), BasicErrorResponseType::Extension("invalid_target".to_owned()));
    let wrong = TestClient { secret: "wrong".to_owned(), ..company.planner.clone() };
    let refused = token(&basic(&company, &wrong), ORDERS, &[]).await.unwrap_err();
    assert_eq!(code(refused), BasicErrorResponseType::InvalidClient);
}
