package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * Every token gathers many of very many small experts; nothing of the shape [T,E] exists.
 *
 * @param expertCount E, up to millions
 * @param ids [T,n] I64: expert numbers, n in the hundreds
 * @param weights [T,n] with gradient
 * @param evidence what the router computed on its way
 */
public record Retrieval(int expertCount, Tensor ids, Tensor weights, Evidence evidence)
    implements Routing {}
