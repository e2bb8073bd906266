//! Modules: shared objects that speak with tokens. They are loaded once and stay.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use super::error::{Pkcs11Error, spell};
use super::uri::Pkcs11Uri;

/// The most modules of one process.
const MODULES_MAX: usize = 16;

/// Where a `module-name` is looked for: where distributions put modules.
const FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu/pkcs11",
    "/usr/lib/aarch64-linux-gnu/pkcs11",
    "/usr/lib64/pkcs11",
    "/usr/lib/pkcs11",
    "/usr/lib/softhsm",
    "/usr/local/lib/pkcs11",
];

/// PKCS#11 starts once per process (C_Initialize), so what was loaded is kept: two keys of one module share it, and none
/// is unloaded under the other.
static LOADED: Mutex<Vec<(PathBuf, Pkcs11)>> = Mutex::new(Vec::new());

/// The module of the URI, else `other`.
pub(super) fn find(uri: &Pkcs11Uri, other: Option<&Path>) -> Result<PathBuf, Pkcs11Error> {
    let path = uri.module_path();
    let Some(name) = uri.module_name() else {
        return path.or_else(|| other.map(Path::to_owned)).ok_or(Pkcs11Error::NoModule);
    };
    let folders = path.map_or_else(|| FOLDERS.map(PathBuf::from).to_vec(), |folder| vec![folder]);
    let files = folders.iter().flat_map(|folder| {
        ["", "lib"].map(|prefix| folder.join(format!("{prefix}{name}{}", std::env::consts::DLL_SUFFIX)))
    });
    let searched =
        || folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
    files
        .into_iter()
        .find(|file| file.is_file())
        .ok_or_else(|| Pkcs11Error::ModuleName { name: name.to_owned(), folders: searched() })
}

/// Loads and starts a module, or gives the one that was.
pub(super) fn load(path: &Path) -> Result<Pkcs11, Pkcs11Error> {
    let unusable = |said: String| Pkcs11Error::Module { path: path.to_owned(), said };
    // A module that panicked while loading was not added.
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, module)) = loaded.iter().find(|(other, _)| other == path) {
        return Ok(module.clone());
    }
    if loaded.len() == MODULES_MAX {
        return Err(unusable(format!("this process has {MODULES_MAX} others already")));
    }
    let module = Pkcs11::new(path).map_err(|err| unusable(spell(&err)))?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(err) => return Err(unusable(spell(&err))),
    }
    loaded.push((path.to_owned(), module.clone()));
    Ok(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_by_path_or_name_or_the_callers_word() {
        let scratch = std::env::temp_dir().join(format!("waxwing-module-{}", std::process::id()));
        std::fs::create_dir_all(&scratch).unwrap();
        let file = scratch.join(format!("libhsm{}", std::env::consts::DLL_SUFFIX));
        std::fs::write(&file, "").unwrap();
        let found = |uri: &str, other| find(&uri.parse().unwrap(), other);
        let named = |name| format!("pkcs11:?module-path={}&module-name={name}", scratch.display());
        assert_eq!(found(&named("hsm"), None).unwrap(), file);
        assert_eq!(found("pkcs11:?module-path=/a.so", Some(&file)).unwrap(), Path::new("/a.so"));
        assert_eq!(found("pkcs11:", Some(&file)).unwrap(), file);
        let missing = found(&named("other"), None).unwrap_err().to_string();
        assert_eq!(
            missing,
            format!("there is no module `other` in {}; name its file with `module-path`", scratch.display())
        );
        assert!(matches!(found("pkcs11:", None), Err(Pkcs11Error::NoModule)));
        std::fs::remove_dir_all(&scratch).unwrap();
    }

    #[test]
    fn a_file_that_is_no_module_is_an_error() {
        let error = load(Path::new("/nowhere/hsm.so")).unwrap_err();
        assert!(error.to_string().starts_with("the module /nowhere/hsm.so cannot be used: "), "{error}");
        assert!(load(Path::new("/etc/passwd")).is_err());
    }
}
