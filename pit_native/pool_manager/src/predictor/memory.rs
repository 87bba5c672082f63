//! The predictor as bytes: one line with the format and a checksum, then JSON.

use super::Predictor;

const FORMAT: &str = "symphony.predictor/1";

impl Predictor {
    /// All that it has learned.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Maps with text keys and finite numbers only: this cannot fail.
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut bytes = format!("{FORMAT} {:08x}\n", crc32fast::hash(&body)).into_bytes();
        bytes.extend_from_slice(&body);
        bytes
    }

    /// What [`Self::to_bytes`] gave; else what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let (head, body) = bytes.split_at(end.ok_or("it has no first line")?);
        let body = &body[1..];
        let head = std::str::from_utf8(head).map_err(|_| "its first line is no text")?;
        let Some((FORMAT, checksum)) = head.split_once(' ') else {
            return Err(format!("it is not in the format {FORMAT}"));
        };
        if checksum != format!("{:08x}", crc32fast::hash(body)) {
            return Err("its checksum does not match".to_owned());
        }
        serde_json::from_slice(body).map_err(|error| format!("it cannot be read: {error}"))
    }
}
