//! The id of a topic's present life (KIP-516). The safe API has no DescribeTopics, so librdkafka is called directly, here alone.
#![expect(
    unsafe_code,
    reason = "DescribeTopics is not in the safe API of rdkafka 0.39; every pointer below lives in this file"
)]

use std::ffi::{CStr, CString};
use std::ptr;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{IsError as _, KafkaError, KafkaResult};
use rdkafka_sys as sys;

use super::ANSWER_TIMEOUT;

/// What brokers without ids answer: the UUID of zeros.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Frees what librdkafka allocated, also on an early return.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the pointer came from the constructor that belongs to this destructor, and is freed once, here.
            unsafe { (self.1)(self.0) }
        }
    }
}

/// Asks the brokers for the topic's id, in base64 as Kafka's own tools show it; `None` if they have none. Waits for the answer.
pub(super) fn topic_id<C: ClientContext>(client: &Client<C>, topic: &str) -> KafkaResult<Option<String>> {
    let name = CString::new(topic).map_err(KafkaError::Nul)?;
    let mut names = [name.as_ptr()];
    let millis = i32::try_from(ANSWER_TIMEOUT.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `client` outlives the call and librdkafka is thread safe. The names are copied by `of_topic_names`. Everything that is
    // allocated is held by an `Owned`, the event as the last, and what is read out of the event is copied before it is freed.
    unsafe {
        let rk = client.native_ptr();
        let queue = Owned(sys::rd_kafka_queue_new(rk), sys::rd_kafka_queue_destroy);
        let options = sys::rd_kafka_AdminOptions_new(rk, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        let options = Owned(options, sys::rd_kafka_AdminOptions_destroy);
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let topics = Owned(topics, sys::rd_kafka_TopicCollection_destroy);
        if queue.0.is_null() || options.0.is_null() || topics.0.is_null() {
            return Err(KafkaError::AdminOpCreation("out of memory".to_owned()));
        }
        let set = sys::rd_kafka_AdminOptions_set_request_timeout(options.0, millis, ptr::null_mut(), 0);
        if set.is_error() {
            return Err(KafkaError::AdminOp(set.into()));
        }
        sys::rd_kafka_DescribeTopics(rk, topics.0, options.0, queue.0);
        // The request has its own time limit, after which the event says so; the wait here is a little longer.
        let event = Owned(
            sys::rd_kafka_queue_poll(queue.0, millis.saturating_add(1_000)),
            sys::rd_kafka_event_destroy,
        );
        if event.0.is_null() {
            return Err(KafkaError::AdminOp(rdkafka::types::RDKafkaErrorCode::OperationTimedOut));
        }
        let error = sys::rd_kafka_event_error(event.0);
        if error.is_error() {
            return Err(KafkaError::AdminOp(error.into()));
        }
        first_id(event.0)
    }
}

/// # Safety
/// `event` is null or a live event of DescribeTopics.
unsafe fn first_id(event: *mut sys::rd_kafka_event_t) -> KafkaResult<Option<String>> {
    // SAFETY: by the contract of this function; librdkafka owns what it returns until the event is destroyed, and every pointer is
    // checked before it is followed.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Ok(None);
        }
        let mut count = 0;
        let described = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if described.is_null() || count == 0 {
            return Ok(None);
        }
        let topic = *described;
        let error = sys::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            let code = sys::rd_kafka_error_code(error);
            if code.is_error() {
                return Err(KafkaError::AdminOp(code.into()));
            }
        }
        let uuid = sys::rd_kafka_TopicDescription_topic_id(topic);
        let text = if uuid.is_null() {
            ptr::null()
        } else {
            sys::rd_kafka_Uuid_base64str(uuid)
        };
        if text.is_null() {
            return Ok(None);
        }
        let id = CStr::from_ptr(text).to_string_lossy().into_owned();
        Ok((!id.is_empty() && id.trim_end_matches('=') != NO_ID).then_some(id))
    }
}
