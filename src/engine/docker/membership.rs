//! A container's places on networks: taken and given up while the container is there.

use bollard::models::{EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest};

use super::{Docker, containers::short, wire};
use crate::engine::{EngineError, EngineResult};

impl Docker {
    pub(super) async fn connect_network(
        &self,
        id: &str,
        network: &str,
        settings: EndpointSettings,
    ) -> EngineResult<()> {
        let request = NetworkConnectRequest { container: id.to_owned(), endpoint_config: Some(settings) };
        let operation = &format!("connecting container {} to network {network}", short(id));
        self.call(operation, self.client().connect_network(&wire::encode(network), request)).await
    }

    pub(super) async fn disconnect_network(&self, id: &str, network: &str) -> EngineResult<()> {
        let request = NetworkDisconnectRequest { container: id.to_owned(), force: Some(true) };
        let operation = &format!("disconnecting container {} from network {network}", short(id));
        match self.call(operation, self.client().disconnect_network(&wire::encode(network), request)).await {
            Err(EngineError::NotFound(_)) => Ok(()),
            Err(EngineError::Other { message, .. }) if message.contains("is not connected to") => Ok(()),
            other => other,
        }
    }
}
