//! TLS by rustls, as sslmode says.

use std::path::Path;
use std::sync::Arc;

use runtime::config::SslMode;
use runtime::port::SqlFailure;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connector for `require` (encrypted, the certificate is not checked) or `verify-full`, which trusts the system's certificates and
/// those of the file.
///
/// # Errors
/// When the file cannot be read, or there is no certificate to trust.
pub fn connector(mode: SslMode, ca_file: Option<&Path>) -> Result<MakeRustlsConnect, SqlFailure> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&format!("TLS cannot be set up: {error}")))?;
    let config = if mode == SslMode::VerifyFull {
        builder.with_root_certificates(trusted(ca_file)?).with_no_client_auth()
    } else {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
            .with_no_client_auth()
    };
    Ok(MakeRustlsConnect::new(config))
}

fn trusted(ca_file: Option<&Path>) -> Result<RootCertStore, SqlFailure> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let read =
            |error: &dyn std::fmt::Display| unusable(&format!("read certificates from `{}`: {error}", path.display()));
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| read(&error))? {
            let certificate = certificate.map_err(|error| read(&error))?;
            store.add(certificate).map_err(|error| read(&error))?;
        }
    }
    if store.is_empty() {
        return Err(unusable(
            "no certificate is trusted: the system has none; name a `ca_file`",
        ));
    }
    Ok(store)
}

/// As final as a wrong password: code 28000.
fn unusable(message: &str) -> SqlFailure {
    SqlFailure {
        code: Some("28000".into()),
        message: message.to_owned(),
        detail: None,
    }
}

/// `sslmode = "require"`: whoever answers is believed, as libpq does it.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
