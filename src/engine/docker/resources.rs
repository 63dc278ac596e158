//! Networks and volumes.

use std::collections::BTreeMap;

use bollard::{
    models::{NetworkCreateRequest, VolumeCreateRequest},
    query_parameters::RemoveVolumeOptions,
};
use bytes::Bytes;

use super::{
    Docker,
    answers::{Resource, Volumes},
    containers::label_filter,
    wire,
};
use crate::{
    engine::{EngineError, EngineResult},
    model::{
        labels::MANAGED,
        observed::ObservedResource,
        target::{NetworkSpec, VolumeSpec},
    },
};

impl Docker {
    pub(super) async fn list_networks(&self, label: (&str, &str)) -> EngineResult<BTreeMap<String, ObservedResource>> {
        let path = format!("/networks?filters={}", label_filter(&[(label.0, Some(label.1))]));
        let found: Vec<Resource> = self.get("listing networks", &path).await?;
        Ok(found.into_iter().map(Resource::observed).collect())
    }

    pub(super) async fn look_at_network(&self, name: &str) -> EngineResult<Option<ObservedResource>> {
        let path = format!("/networks/{}", wire::encode(name));
        self.look_at(&format!("looking at network {name}"), &path, name).await
    }

    pub(super) async fn look_at_volume(&self, name: &str) -> EngineResult<Option<ObservedResource>> {
        let path = format!("/volumes/{}", wire::encode(name));
        self.look_at(&format!("looking at volume {name}"), &path, name).await
    }

    async fn look_at(&self, operation: &str, path: &str, name: &str) -> EngineResult<Option<ObservedResource>> {
        let found: Option<Resource> = self.find(operation, path).await?;
        // The engine takes the beginning of an id for a network's name, too.
        Ok(found.map(Resource::observed).filter(|(found, _)| found == name).map(|(_, resource)| resource))
    }

    pub(super) async fn make_network(
        &self,
        name: &str,
        spec: &NetworkSpec,
        labels: &BTreeMap<String, String>,
    ) -> EngineResult<()> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: spec.driver.clone(),
            internal: Some(spec.internal),
            attachable: Some(spec.attachable),
            enable_ipv6: Some(spec.enable_ipv6),
            options: Some(spec.driver_opts.clone().into_iter().collect()),
            labels: Some(labels.clone().into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        let unreadable =
            |error: serde_json::Error| EngineError::Other { status: None, message: format!("network {name}: {error}") };
        let mut body = serde_json::to_value(request).map_err(unreadable)?;
        // Without it an engine before API 1.44 makes a second network of the same name; bollard's model has lost it.
        body["CheckDuplicate"] = true.into();
        let body = Bytes::from(serde_json::to_vec(&body).map_err(unreadable)?);
        let operation = &format!("creating network {name}");
        self.call(operation, wire::collect(self.send("POST", "/networks/create", Some(body)))).await.map(drop)
    }

    /// All of that name that are mcpmon's, where an engine has let there be several. Those that are used stay.
    pub(super) async fn delete_network(&self, name: &str) -> EngineResult<()> {
        let operation = &format!("removing network {name}");
        let removed = gone(self.call(operation, self.client().remove_network(&wire::encode(name))).await);
        let Err(error) = removed else { return Ok(()) };
        let path = format!("/networks?filters={}", label_filter(&[(MANAGED, None)]));
        let found: Vec<Resource> = self.get("listing networks", &path).await?;
        let ids: Vec<String> = found.into_iter().filter_map(|one| one.id_where_named(name)).collect();
        if ids.len() < 2 {
            return Err(error);
        }
        let mut left = Ok(());
        for id in ids {
            left = left.and(gone(self.call(operation, self.client().remove_network(&id)).await));
        }
        left
    }

    pub(super) async fn list_volumes(&self, label: (&str, &str)) -> EngineResult<BTreeMap<String, ObservedResource>> {
        let path = format!("/volumes?filters={}", label_filter(&[(label.0, Some(label.1))]));
        let found: Volumes = self.get("listing volumes", &path).await?;
        Ok(found.volumes.into_iter().flatten().map(Resource::observed).collect())
    }

    pub(super) async fn make_volume(
        &self,
        name: &str,
        spec: &VolumeSpec,
        labels: &BTreeMap<String, String>,
    ) -> EngineResult<()> {
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            driver: spec.driver.clone(),
            driver_opts: Some(spec.driver_opts.clone().into_iter().collect()),
            labels: Some(labels.clone().into_iter().collect()),
            cluster_volume_spec: None,
        };
        self.call(&format!("creating volume {name}"), self.client().create_volume(request)).await.map(drop)
    }

    pub(super) async fn delete_volume(&self, name: &str) -> EngineResult<()> {
        let operation = &format!("removing volume {name}");
        let options = RemoveVolumeOptions { force: false };
        gone(self.call(operation, self.client().remove_volume(&wire::encode(name), Some(options))).await)
    }
}

fn gone(result: EngineResult<()>) -> EngineResult<()> {
    match result {
        Err(EngineError::NotFound(_)) => Ok(()),
        other => other,
    }
}
