//! Mails that a node sends: bridge mail of people, and one-time codes.

use relaymesh_core::command::Private;
use relaymesh_core::{PublishContent, PublishRequest, SendError};
use relaymesh_mail::{Attachment, Footer, MailError, Mailer, Outgoing};

/// A comma-separated list as addresses.
fn addresses(list: &Private) -> Vec<String> {
    list.reveal().split(',').map(str::trim).filter(|address| !address.is_empty()).map(str::to_owned).collect()
}

/// A person's bridge mail from the alias of the number, which is said to be unverified.
pub fn bridge(request: &PublishRequest, at_ms: u64) -> Outgoing {
    let domain = request.account.reveal().rsplit_once('@').map_or("localhost", |(_, domain)| domain).to_owned();
    let mut mail = Outgoing {
        from: request.account.reveal().to_owned(),
        message_id: format!("{}@{domain}", request.idempotency_key),
        at_ms,
        footer: Footer::NumberNotVerified,
        ..Outgoing::default()
    };
    if let PublishContent::Email { to, cc, bcc, subject, body, image } = &request.content {
        mail.to = addresses(to);
        mail.cc = addresses(cc);
        mail.bcc = addresses(bcc);
        mail.subject = subject.reveal().to_owned();
        mail.body = body.reveal().to_owned();
        mail.attachment = image.as_ref().map(|image| Attachment {
            filename: "attached_image.webp".to_owned(),
            mimetype: "image/webp".to_owned(),
            data: image.0.clone(),
        });
    }
    mail
}

/// A one-time code.
pub fn otp(from: &str, to: &Private, code: &Private, at_ms: u64) -> Outgoing {
    let domain = from.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    Outgoing {
        from: from.to_owned(),
        to: vec![to.reveal().to_owned()],
        subject: "Your RelaySMS verification code".to_owned(),
        body: format!("Your verification code is: {}\n\nIt is valid for 10 minutes.\n", code.reveal()),
        message_id: format!("otp-{at_ms}@{domain}"),
        at_ms,
        ..Outgoing::default()
    }
}

/// Hands a mail to the smart host.
pub async fn send(mailer: &Mailer, mail: Outgoing) -> Result<(), SendError> {
    match mailer.send(&mail).await {
        Ok(_) => Ok(()),
        Err(MailError::Retry { .. }) => Err(SendError::Retry { after_ms: None }),
        Err(MailError::Unknown) => Err(SendError::Unknown),
        Err(error) => Err(SendError::Refused { text: error.to_string() }),
    }
}
