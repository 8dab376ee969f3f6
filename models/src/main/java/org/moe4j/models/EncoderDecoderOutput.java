package org.moe4j.models;

import java.util.List;
import java.util.Map;
import org.moe4j.MoeOutput;
import org.moe4j.tensor.Tensor;

/**
 * What a forward pass over texts and answers gives.
 *
 * @param encoding of the texts
 * @param hidden [B,S,d] of the answers, after the final norm
 * @param states [B,S,d] each: the embedded tokens, then the output of every decoder block
 * @param moe what each sparse layer of the decoder did, by index among all blocks of the model
 */
public record EncoderDecoderOutput(
    Encoding encoding, Tensor hidden, List<Tensor> states, Map<Integer, MoeOutput> moe) {}
