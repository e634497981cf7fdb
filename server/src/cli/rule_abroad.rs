//! What `stipend rule create` says of a rule that leads to another authorization server.

use clap::Args;
use stipend_token::id_jag::Abroad;

#[derive(Args, Debug)]
pub struct AbroadArgs {
    /// The rule yields identity assertion grants for the authorization server with this issuer
    /// identifier, which --to names as a resource
    #[arg(long, value_name = "ISSUER")]
    id_jag: Option<String>,
    /// What the actor is called there; its id here where left out
    #[arg(long, value_name = "CLIENT_ID", requires = "id_jag")]
    id_jag_client: Option<String>,
    /// A resource there that a grant may name; may be repeated
    #[arg(long, value_name = "URI", requires = "id_jag")]
    id_jag_resource: Vec<String>,
}

impl AbroadArgs {
    pub fn into_abroad(self) -> Option<Abroad> {
        let Self { id_jag, id_jag_client, id_jag_resource } = self;
        id_jag.map(|issuer| Abroad { issuer, client_id: id_jag_client, resources: id_jag_resource })
    }
}
