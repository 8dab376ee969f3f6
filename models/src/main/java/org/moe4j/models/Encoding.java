package org.moe4j.models;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.moe4j.MoeOutput;
import org.moe4j.tensor.Tensor;

/**
 * What an encoder makes of B texts of S tokens.
 *
 * @param hidden [B,S,d], after the final norm
 * @param real [B,S] BOOL, true where a token is none of the padding; absent if all are
 * @param states [B,S,d] each: the embedded tokens, then the output of every block
 * @param moe what each sparse layer did, by block index
 */
public record Encoding(
    Tensor hidden, Optional<Tensor> real, List<Tensor> states, Map<Integer, MoeOutput> moe) {}
