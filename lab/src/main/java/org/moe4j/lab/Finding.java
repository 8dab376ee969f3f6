package org.moe4j.lab;

/**
 * What the runs say of one criterion.
 *
 * @param criterion it
 * @param system the system's value, mean over seeds
 * @param baseline the baseline's
 * @param effect by how much the system is better, mean over seeds; negative if it is worse
 * @param spread standard deviation of the effect over seeds; 0 of one seed
 * @param seeds their number
 * @param verdict what follows
 */
public record Finding(
    Criterion criterion,
    double system,
    double baseline,
    double effect,
    double spread,
    int seeds,
    Verdict verdict) {}
