//! Messages on the wire: requests by prost, responses as prepared bytes.

use std::marker::PhantomData;

use nuncio_xds::session::Response;
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Decodes requests of type `Q`, copies prepared responses.
pub(super) struct AdsCodec<Q>(PhantomData<fn() -> Q>);

pub(super) struct ResponseEncoder;

pub(super) struct RequestDecoder<Q>(PhantomData<fn() -> Q>);

impl<Q> Default for AdsCodec<Q> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Q: Message + Default + 'static> Codec for AdsCodec<Q> {
    type Encode = Response;
    type Decode = Q;
    type Encoder = ResponseEncoder;
    type Decoder = RequestDecoder<Q>;

    fn encoder(&mut self) -> ResponseEncoder {
        ResponseEncoder
    }

    fn decoder(&mut self) -> RequestDecoder<Q> {
        RequestDecoder(PhantomData)
    }
}

impl Encoder for ResponseEncoder {
    type Item = Response;
    type Error = Status;

    fn encode(&mut self, response: Response, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(response.encoded_len());
        response.encode(buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl<Q: Message + Default> Decoder for RequestDecoder<Q> {
    type Item = Q;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Q>, Status> {
        Q::decode(buffer)
            .map(Some)
            .map_err(|error| Status::invalid_argument(format!("not a discovery request: {error}")))
    }
}
