//! Postfix as the smart host, which hands all mail of one domain to Dovecot.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::imap::{self, Letter};
use crate::server::{Server, free_ports, run};

/// The domain whose mail is taken; every name in it has a mailbox.
pub const DOMAIN: &str = "mail.test";
/// Login at the submission port, and of every mailbox.
pub const USERNAME: &str = "node";
pub const PASSWORD: &str = "not-a-secret";
/// Longest message that is taken, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 100_000;

const MASTER: &str = "/usr/lib/postfix/sbin/master";

/// Both servers. Dropping it ends them.
pub struct MailHost {
    postfix: Option<Server>,
    dovecot: Server,
    /// Takes mail from this machine, without login.
    pub plain: u16,
    /// Takes mail after STARTTLS and login.
    pub submission: u16,
    imap: u16,
    dir: TempDir,
}

impl MailHost {
    /// Makes and starts both.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Both servers become other users, who must find their files.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let [plain, submission, imap] = free_ports();
        make_certificate(dir.path());
        let dovecot = start_dovecot(dir.path(), imap);
        write_postfix(dir.path(), plain, submission);
        let mut host = Self { postfix: None, dovecot, plain, submission, imap, dir };
        host.start_postfix();
        host
    }

    /// The certificate of the submission port, which no system trusts.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    /// Ends Postfix. What it has accepted stays in its queue.
    pub fn stop_postfix(&mut self) {
        self.postfix = None;
    }

    /// Starts it, again.
    pub fn start_postfix(&mut self) {
        let mut master = Command::new(MASTER);
        master.arg("-c").arg(self.dir.path().join("etc")).arg("-d");
        self.postfix = Some(Server::start(master, &self.log(), &[self.plain, self.submission]));
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("postfix.log")
    }

    /// What is in the mailbox of `name`, oldest first.
    pub async fn letters(&self, name: &str) -> Vec<Letter> {
        imap::letters(self.imap, name, PASSWORD).await
    }

    /// The ends of both logs, for a failure.
    pub fn tails(&self) -> String {
        let postfix = self.postfix.as_ref().map(Server::tail).unwrap_or_default();
        format!("Postfix:\n{postfix}\nDovecot:\n{}", self.dovecot.tail())
    }
}

fn make_certificate(dir: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]).arg(dir.join("key.pem"));
    run(openssl.arg("-out").arg(dir.join("cert.pem")));
}

fn start_dovecot(dir: &Path, imap: u16) -> Server {
    let at = dir.display();
    let mail = dir.join("mail");
    fs::create_dir(&mail).unwrap();
    run(Command::new("chown").arg("nobody:nogroup").arg(&mail));
    let config = format!(
        "base_dir = {at}/dovecot\nstate_dir = {at}/dovecot\nlog_path = /dev/stderr\nprotocols = imap lmtp\n\
         listen = 127.0.0.1\nssl = no\ndisable_plaintext_auth = no\nauth_mechanisms = plain login\n\
         mail_location = maildir:{at}/mail/%n\nfirst_valid_uid = 1\n\
         passdb {{\n driver = static\n args = password={PASSWORD}\n}}\n\
         userdb {{\n driver = static\n args = uid=nobody gid=nogroup home={at}/mail/%n\n}}\n\
         service lmtp {{\n unix_listener lmtp {{\n mode = 0666\n }}\n}}\n\
         service auth {{\n unix_listener auth {{\n mode = 0666\n }}\n}}\n\
         service imap-login {{\n inet_listener imap {{\n port = {imap}\n }}\n inet_listener imaps {{\n port = 0\n }}\n}}\n"
    );
    let path = dir.join("dovecot.conf");
    fs::write(&path, config).unwrap();
    let mut dovecot = Command::new("/usr/sbin/dovecot");
    dovecot.arg("-F").arg("-c").arg(path);
    Server::start(dovecot, &dir.join("dovecot.log"), &[imap])
}

fn write_postfix(dir: &Path, plain: u16, submission: u16) {
    let at = dir.display();
    for name in ["etc", "queue", "data"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    run(Command::new("chown").arg("postfix").arg(dir.join("data")));
    let main = format!(
        "compatibility_level = 3.6\nqueue_directory = {at}/queue\ndata_directory = {at}/data\n\
         command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\n\
         setgid_group = postdrop\nmaillog_file = {at}/postfix.log\nmaillog_file_prefixes = {at}\n\
         myhostname = mx.{DOMAIN}\nmydestination =\nalias_maps =\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
         smtp_dns_support_level = disabled\nmynetworks = 127.0.0.0/8\nmessage_size_limit = {MESSAGE_BYTES_MAX}\n\
         virtual_mailbox_limit = 0\nvirtual_mailbox_domains = {DOMAIN}\nvirtual_transport = lmtp:unix:{at}/dovecot/lmtp\n\
         smtpd_recipient_restrictions = check_recipient_access texthash:{at}/etc/access, reject_unauth_destination\n\
         smtpd_tls_cert_file = {at}/cert.pem\nsmtpd_tls_key_file = {at}/key.pem\n\
         smtpd_sasl_type = dovecot\nsmtpd_sasl_path = {at}/dovecot/auth\n"
    );
    fs::write(dir.join("etc/main.cf"), main).unwrap();
    let access = format!("nobody@{DOMAIN} 550 5.1.1 no such user\nlater@{DOMAIN} 451 4.7.1 come back later\n");
    fs::write(dir.join("etc/access"), access).unwrap();
    let private = "proxymap rewrite bounce defer trace retry lmtp anvil".split(' ').map(|service| {
        let daemon = match service {
            "rewrite" => "trivial-rewrite",
            "defer" | "trace" => "bounce",
            "retry" => "error",
            same => same,
        };
        format!("{service} unix - - n - - {daemon}\n")
    });
    let master = format!(
        "127.0.0.1:{plain} inet n - n - - smtpd\n\
         127.0.0.1:{submission} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt\n  \
         -o smtpd_sasl_auth_enable=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject\n\
         cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\ntlsmgr unix - - n 1000? 1 tlsmgr\n\
         postlog unix-dgram n - n - 1 postlogd\n{}",
        private.collect::<String>()
    );
    fs::write(dir.join("etc/master.cf"), master).unwrap();
    run(Command::new("/usr/sbin/postfix").arg("-c").arg(dir.join("etc")).arg("check"));
}
