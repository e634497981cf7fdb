//! A service that makes refunds for agents and charges them for it: one dollar is set aside,
//! a quarter is taken for each item. Run it with its issuer, its own resource identifier, its
//! client id and secret, a directory for its journals, and the address to listen on.

use actix_web::dev::Server;
use actix_web::web::{self, Query};
use actix_web::{App, HttpServer, rt};
use std::{error::Error, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use stipend_relying::actix::{Caller, Charge, Guard};
use stipend_relying::{Amount, ClientCredentials, Counter, HoldOptions, Holds, Options, SpendOptions, Spender, Unit};
use stipend_relying::{CounterOptions, Verifier};

const PRICE: i64 = 1_000_000;
const PRICE_OF_ITEM: i64 = 250_000;

#[derive(serde::Deserialize)]
struct Order {
    items: u32,
}

async fn refund(caller: Caller, charge: Charge, order: Query<Order>) -> Result<String, Box<dyn Error>> {
    // Here the work would be done. What it cost is known afterwards.
    charge.cost(Amount::new(PRICE_OF_ITEM * i64::from(order.items))?);
    Ok(format!("{} items refunded for {}", order.items, caller.client_id))
}

/// Starts it. `clock` answers seconds since the epoch.
pub async fn start(
    issuer: &str,
    audience: &str,
    client: ClientCredentials,
    (directory, listen): (&Path, SocketAddr),
    clock: impl Fn() -> i64 + Clone + Send + Sync + 'static,
) -> Result<(Server, SocketAddr), Box<dyn Error>> {
    let verifier = Verifier::discover(issuer, audience, clock(), Options::default()).await?;
    let spender = Spender::new(verifier.budget_endpoint(), client, SpendOptions::default())?;
    let holds = Holds::open(&directory.join("holds"), spender, HoldOptions::default())?;
    let counter = Arc::new(Counter::open(&directory.join("counter"), CounterOptions::default())?);
    let guard = Guard::new(Arc::new(verifier), clock.clone())
        .scope("refund")
        .price(Unit::new("USD", 6)?, Amount::new(PRICE)?)
        .holds(holds.clone())
        .counter(Arc::clone(&counter));
    // What a crash left is ended, what was counted is reported: now and every few seconds.
    rt::spawn(async move {
        loop {
            holds.recover(clock()).await;
            counter.report(holds.spender(), clock()).await;
            rt::time::sleep(Duration::from_secs(5)).await;
        }
    });
    let app = move || App::new().service(web::resource("/refunds").wrap(guard.clone()).route(web::post().to(refund)));
    let server = HttpServer::new(app).workers(1).bind(listen)?;
    let address = server.addrs().first().copied().ok_or("no address")?;
    Ok((server.run(), address))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [issuer, audience, id, secret, directory, listen] = arguments.as_slice() else {
        return Err("give the issuer, the audience, client id and secret, a directory and an address".into());
    };
    let clock = || std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs().try_into().unwrap_or(i64::MAX));
    let client = ClientCredentials::new(id, secret);
    let (server, _) = start(issuer, audience, client, (Path::new(directory), listen.parse()?), clock).await?;
    Ok(server.await?)
}
