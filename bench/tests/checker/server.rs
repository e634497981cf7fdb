//! The fake behind a port.

use crate::fake::{ADMIN, Asked, Fake};
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Mutex;

pub struct Server {
    pub url: String,
    handle: actix_web::dev::ServerHandle,
}

impl Server {
    pub fn start(fake: Fake) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fake = Data::new(Mutex::new(fake));
        let (sender, handle) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || App::new().app_data(fake.clone()).default_service(web::to(handle_request));
                let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
                sender.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self { url, handle: handle.recv().unwrap() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

fn pairs(text: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

async fn handle_request(fake: Data<Mutex<Fake>>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let authorization = header("authorization").unwrap_or_default();
    let client = match authorization.strip_prefix("Basic ") {
        Some(basic) => {
            let text = String::from_utf8(STANDARD.decode(basic).unwrap()).unwrap();
            text.split_once(':').unwrap().0.to_owned()
        }
        None => ADMIN.to_owned(),
    };
    let asked = Asked {
        method: request.method().to_string(),
        path: request.path().to_owned(),
        client,
        key: header("idempotency-key"),
        form: pairs(&body),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        query: pairs(request.query_string().as_bytes()),
    };
    let (status, body, id) = fake.lock().unwrap().answer(&asked);
    let status = actix_web::http::StatusCode::from_u16(status).unwrap();
    HttpResponse::build(status).insert_header(("stipend-request-id", id)).json(body)
}
