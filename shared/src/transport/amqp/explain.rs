//! The broker's and the library's errors in words for a person, and what the caller can do about them.

use std::io;

use lapin::ErrorKind;
use lapin::protocol::{AMQPError, AMQPErrorKind, AMQPHardError, AMQPSoftError};

use super::address::Address;
use crate::transport::TransportError;

/// An error of something that was asked of a connection that stood.
pub(super) fn call(error: &lapin::Error, doing: &str) -> TransportError {
    match error.kind() {
        ErrorKind::ProtocolError(error) if is_final(error) => {
            TransportError::Refused(format!("{doing}: {}", error.get_message()))
        }
        ErrorKind::ChannelsLimitReached => TransportError::Refused(format!(
            "{doing}: the connection has as many channels as the broker allows (`channel_max`)"
        )),
        _ => TransportError::Unavailable(format!("{doing}: {}", reason(error))),
    }
}

/// Why a connection, a channel or a consumer ended, in a few words.
pub(super) fn reason(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(error) => error.get_message().to_string(),
        ErrorKind::IOError(error) => broken(error),
        ErrorKind::MissingHeartbeatError => "the broker fell silent: no heartbeat came".to_owned(),
        ErrorKind::InvalidConnectionState(_)
        | ErrorKind::InvalidChannelState(..)
        | ErrorKind::InvalidChannel(_) => "the connection is gone".to_owned(),
        ErrorKind::RuntimeShutdownError(_) => "the program is ending".to_owned(),
        _ => error.to_string(),
    }
}

fn broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the connection broke".to_owned()
        }
        _ => format!("the connection broke: {error}"),
    }
}

/// Nobody but a person can change it: asking again answers the same.
fn is_final(error: &AMQPError) -> bool {
    match error.kind() {
        AMQPErrorKind::Soft(soft) => !matches!(soft, AMQPSoftError::NOCONSUMERS),
        AMQPErrorKind::Hard(hard) => matches!(
            hard,
            AMQPHardError::INVALIDPATH | AMQPHardError::NOTALLOWED | AMQPHardError::NOTIMPLEMENTED
        ),
    }
}

/// There is no such queue or exchange.
pub(super) fn is_missing(error: &lapin::Error) -> bool {
    is_soft(error, &AMQPSoftError::NOTFOUND)
}

/// It is there, and otherwise than it was declared. Answers the broker's words.
pub(super) fn conflict(error: &lapin::Error) -> Option<String> {
    is_soft(error, &AMQPSoftError::PRECONDITIONFAILED).then(|| reason(error))
}

fn is_soft(error: &lapin::Error, wanted: &AMQPSoftError) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    matches!(error.kind(), AMQPErrorKind::Soft(soft) if soft == wanted)
}

/// An error of making a connection. Never shows the password.
pub(super) fn connect(error: &lapin::Error, address: &Address) -> TransportError {
    match error.kind() {
        ErrorKind::ProtocolError(error) => login(error, address),
        ErrorKind::IOError(error) | ErrorKind::RuntimeShutdownError(error) => unreachable(error, address),
        ErrorKind::ParsingError(_) | ErrorKind::InvalidProtocolVersion(_) => {
            let hint =
                if address.is_tls() { "" } else { "; if that port speaks TLS, write `amqps://` in the URL" };
            TransportError::Refused(format!("what answers at {address} does not speak AMQP 0-9-1{hint}"))
        }
        ErrorKind::AuthProviderError(reason) => {
            TransportError::Refused(format!("the login at {address} cannot be done: {reason}"))
        }
        _ => TransportError::Unavailable(format!("no connection to {address}: {}", reason(error))),
    }
}

fn login(error: &AMQPError, address: &Address) -> TransportError {
    let said = error.get_message();
    match error.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => TransportError::Refused(format!(
            "the user {:?} may not log in at {address}; check user and password in the URL (`guest` may log in from the \
             broker's own host only). It says: {said}",
            address.user()
        )),
        AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED | AMQPHardError::INVALIDPATH) => {
            TransportError::Refused(format!(
                "the vhost {:?} at {address} is not there for the user {:?}; make it (`rabbitmqctl add_vhost`), allow it \
                 (`rabbitmqctl set_permissions`), or name another at the end of the URL. It says: {said}",
                address.vhost(),
                address.user()
            ))
        }
        _ => TransportError::Unavailable(format!("{address} closed the connection: {said}")),
    }
}

fn unreachable(error: &io::Error, address: &Address) -> TransportError {
    if let Some(tls) = tls_error(error) {
        return TransportError::Refused(format!("TLS with {address} failed: {}", explain_tls(tls, address)));
    }
    let hint = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there; is the broker running, is the port right?"
        }
        io::ErrorKind::TimedOut => "is a firewall in between?",
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {
            "it hung up during the handshake; is it starting, or does that port want TLS (`amqps://`) or none (`amqp://`)?"
        }
        _ => "check the host's name in the URL",
    };
    TransportError::Unavailable(format!("{address} cannot be reached ({error}): {hint}"))
}

/// The library hands errors of TLS on inside of others.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    let mut source = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(error) = source {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // An io::Error inside another one shows what it wraps only when asked by its own type.
        source = match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    None
}

fn explain_tls(error: &rustls::Error, address: &Address) -> String {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "no authority that we know has signed its certificate; name the authority's certificate in `ca`"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(
            rustls::CertificateError::NotValidForName
            | rustls::CertificateError::NotValidForNameContext { .. },
        ) => {
            format!(
                "its certificate is for another name than {}; connect by a name that it has",
                address.host()
            )
        }
        rustls::Error::InvalidCertificate(reason) => format!("its certificate is not valid: {reason}"),
        rustls::Error::AlertReceived(alert) => format!(
            "it ended the handshake ({alert:?}); if it asks for a client's certificate, name one in `cert` and `key`"
        ),
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS on that port; write `amqp://`, or the port for TLS (5671)".to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        Address::parse(&"amqp://carol:secret@mq.example/tasks".parse().unwrap()).unwrap()
    }

    fn protocol(kind: AMQPErrorKind, message: &str) -> lapin::Error {
        ErrorKind::ProtocolError(AMQPError::new(kind, message.into())).into()
    }

    #[test]
    fn a_refused_login_names_the_user_and_not_the_password() {
        let refused = protocol(AMQPSoftError::ACCESSREFUSED.into(), "ACCESS_REFUSED - Login was refused");
        let text = connect(&refused, &address()).to_string();
        assert!(text.contains("the user \"carol\" may not log in at mq.example:5672"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn an_unknown_vhost_says_how_to_make_it() {
        let refused = protocol(AMQPHardError::NOTALLOWED.into(), "NOT_ALLOWED - vhost tasks not found");
        let error = connect(&refused, &address());
        assert!(matches!(error, TransportError::Refused(_)));
        assert!(error.to_string().contains("`rabbitmqctl add_vhost`"), "{error}");
    }

    #[test]
    fn what_passes_by_itself_is_unavailable_and_what_needs_a_person_is_refused() {
        let forced = protocol(AMQPHardError::CONNECTIONFORCED.into(), "CONNECTION_FORCED - shutdown");
        assert!(matches!(call(&forced, "x"), TransportError::Unavailable(_)));
        let denied = protocol(AMQPSoftError::ACCESSREFUSED.into(), "ACCESS_REFUSED - write access");
        assert!(matches!(call(&denied, "x"), TransportError::Refused(_)));
        let broken = lapin::Error::from(io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(matches!(call(&broken, "x"), TransportError::Unavailable(_)));
        assert!(matches!(connect(&broken, &address()), TransportError::Unavailable(_)));
    }

    #[test]
    fn a_certificate_of_a_stranger_is_found_inside_the_librarys_error() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        let text = connect(&error.into(), &address()).to_string();
        assert!(text.contains("name the authority's certificate in `ca`"), "{text}");
    }
}
