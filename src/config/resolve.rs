//! stub
use super::{file::File, problem::Problem};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
#[allow(missing_docs)]
pub struct Context<'a> {
    pub folder: PathBuf,
    pub config_file: PathBuf,
    pub home: Option<PathBuf>,
    pub environment: BTreeMap<String, String>,
    pub read: &'a dyn Fn(&Path) -> Result<Option<String>, String>,
    pub inputs: Vec<PathBuf>,
    pub warnings: Vec<String>,
}
#[allow(missing_docs)]
pub fn resolve(_file: &File, _context: &Context<'_>) -> (Option<crate::model::Settings>, Vec<Problem>) {
    (None, vec![])
}
