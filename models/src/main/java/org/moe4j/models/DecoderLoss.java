package org.moe4j.models;

import org.moe4j.tensor.Tensor;

/**
 * A training loss and its parts.
 *
 * @param total cross-entropy, balance and what routers learn from it: what to differentiate
 * @param crossEntropy mean over the predicted tokens, in nats
 * @param output the forward pass it came from
 */
public record DecoderLoss(Tensor total, Tensor crossEntropy, DecoderOutput output) {}
