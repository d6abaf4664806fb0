//! The JWT inside a long-lived token: HS256 and nothing else, by hand because the crates for it bring RSA along.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::kdf::hmac_sha256;
use crate::secret::SharedSecret;

/// The header as upstream emits it, byte for byte.
const HEADER_JSON: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

const ALGORITHM: &str = "HS256";
const ISSUER: &str = "https://smswithoutborders.com";

/// How long a token is valid, in seconds: 3650 days.
pub(crate) const LIFETIME_S: u64 = 3650 * 24 * 60 * 60;

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    eid: String,
    exp: u64,
}

/// Why a JWT does not count.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum JwtError {
    Malformed,
    Algorithm,
    Forged,
    Expired,
}

/// A signed token for an entity. `eid` is hex, so nothing needs escaping; spaces and order of claims are upstream's.
pub(crate) fn sign(key: &SharedSecret, eid: &str, now_s: u64) -> Zeroizing<String> {
    let exp = now_s.saturating_add(LIFETIME_S);
    let claims = format!(r#"{{"eid": "{eid}", "iss": "{ISSUER}", "iat": {now_s}, "exp": {exp}}}"#);
    sign_parts(key, HEADER_JSON.as_bytes(), claims.as_bytes())
}

/// A signed token of these two parts.
pub(crate) fn sign_parts(key: &SharedSecret, header: &[u8], claims: &[u8]) -> Zeroizing<String> {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(hmac_sha256(key.as_bytes(), &[signed.as_bytes()]));
    Zeroizing::new(format!("{signed}.{signature}"))
}

/// The `eid` claim of an authentic token that has not expired. The issuer is not checked, as upstream does not.
pub(crate) fn verify(key: &SharedSecret, jwt: &str, now_s: u64) -> Result<String, JwtError> {
    let (signed, signature) = jwt.rsplit_once('.').ok_or(JwtError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(JwtError::Malformed)?;
    if claims.contains('.') {
        return Err(JwtError::Malformed);
    }
    if parse::<Header>(header)?.alg != ALGORITHM {
        return Err(JwtError::Algorithm);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| JwtError::Malformed)?;
    if !bool::from(hmac_sha256(key.as_bytes(), &[signed.as_bytes()]).as_slice().ct_eq(&signature)) {
        return Err(JwtError::Forged);
    }
    let claims = parse::<Claims>(claims)?;
    if claims.exp <= now_s {
        return Err(JwtError::Expired);
    }
    Ok(claims.eid)
}

fn parse<T: for<'de> Deserialize<'de>>(segment: &str) -> Result<T, JwtError> {
    let json = URL_SAFE_NO_PAD.decode(segment).map_err(|_| JwtError::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| JwtError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SharedSecret {
        SharedSecret::from([5; 32])
    }

    fn signed(header: &str, claims: &str) -> Zeroizing<String> {
        sign_parts(&key(), header.as_bytes(), claims.as_bytes())
    }

    #[test]
    fn a_token_counts_until_it_expires() {
        let jwt = sign(&key(), "ab", 1000);
        assert_eq!(verify(&key(), &jwt, 1000 + LIFETIME_S - 1).as_deref(), Ok("ab"));
        assert_eq!(verify(&key(), &jwt, 1000 + LIFETIME_S), Err(JwtError::Expired));
    }

    #[test]
    fn other_headers_and_claims_are_refused_even_when_signed() {
        let claims = r#"{"eid":"ab","exp":2000}"#;
        for (header, claims, wanted) in [
            (r#"{"alg":"none"}"#, claims, JwtError::Algorithm),
            (r#"{"alg":"HS512"}"#, claims, JwtError::Algorithm),
            (r#"{"alg":"hs256"}"#, claims, JwtError::Algorithm),
            (r#"{"typ":"JWT"}"#, claims, JwtError::Malformed),
            (HEADER_JSON, r#"{"eid":"ab","exp":2000} x"#, JwtError::Malformed),
            (HEADER_JSON, r#"{"eid":"ab","exp":-1}"#, JwtError::Malformed),
            (HEADER_JSON, r#"{"eid":"ab","exp":"2000"}"#, JwtError::Malformed),
            (HEADER_JSON, r#"{"exp":2000}"#, JwtError::Malformed),
            (HEADER_JSON, r#"{"eid":"ab"}"#, JwtError::Malformed),
            (HEADER_JSON, "[]", JwtError::Malformed),
        ] {
            assert_eq!(verify(&key(), &signed(header, claims), 1), Err(wanted), "{header} {claims}");
        }
        assert_eq!(verify(&key(), &signed(HEADER_JSON, claims), 1).as_deref(), Ok("ab"));
    }

    #[test]
    fn trailing_garbage_and_missing_parts_are_refused() {
        let jwt = sign(&key(), "ab", 1000);
        let jwt = jwt.as_str();
        for text in [
            format!("{jwt}."),
            format!("{jwt}=="),
            format!("{jwt}.x"),
            format!("{jwt} "),
            "a.b".into(),
            "..".into(),
            String::new(),
        ] {
            assert_eq!(verify(&key(), &text, 1000), Err(JwtError::Malformed), "{text}");
        }
    }

    #[test]
    fn another_key_forges_nothing() {
        let jwt = sign(&SharedSecret::from([6; 32]), "ab", 1000);
        assert_eq!(verify(&key(), &jwt, 1000), Err(JwtError::Forged));
    }
}
