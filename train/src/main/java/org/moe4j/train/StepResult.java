package org.moe4j.train;

import java.util.List;
import java.util.Map;
import org.moe4j.RoutingStats;

/**
 * What one step of training did.
 *
 * @param step its number, from 1
 * @param loss mean cross-entropy of its tokens in nats
 * @param balance the weighted balance losses by name, summed over layers
 * @param learningRate of the update
 * @param gradientNorm of all gradients together, before clipping
 * @param skipped whether loss or gradients were not finite, so that nothing was updated
 * @param tokens the predicted tokens
 * @param seconds it took
 * @param routing how tokens were spread, by sparse layer in order
 */
public record StepResult(
    long step,
    double loss,
    Map<String, Double> balance,
    double learningRate,
    double gradientNorm,
    boolean skipped,
    long tokens,
    double seconds,
    List<RoutingStats> routing) {}
