package org.moe4j.engine.offload;

/**
 * What a store of experts has done since it was opened.
 *
 * @param hits asked-for experts that were in memory
 * @param misses those that were not, whether their reading had been begun on a guess or not
 * @param bytesRead from disk
 * @param guesses experts not in memory that were guessed to be asked for next
 * @param guessesRight those of them that were, whether they were read ahead or not
 * @param guessesRead experts whose reading was begun on a guess
 * @param guessesUsed those of them that were then asked for
 * @param waitNanos how long the computation stood still for the disk
 */
public record OffloadStatistics(
    long hits,
    long misses,
    long bytesRead,
    long guesses,
    long guessesRight,
    long guessesRead,
    long guessesUsed,
    long waitNanos) {
  /** Nothing done yet. */
  public static final OffloadStatistics NONE = new OffloadStatistics(0, 0, 0, 0, 0, 0, 0, 0);

  /** The part of asked-for experts that were in memory; 0 if none was asked for. */
  public double hitRate() {
    return part(hits, hits + misses);
  }

  /** The part of guessed experts that were asked for; 0 if none was guessed. */
  public double guessAccuracy() {
    return part(guessesRight, guesses);
  }

  /** What was done after {@code earlier}. */
  public OffloadStatistics since(OffloadStatistics earlier) {
    return new OffloadStatistics(
        hits - earlier.hits,
        misses - earlier.misses,
        bytesRead - earlier.bytesRead,
        guesses - earlier.guesses,
        guessesRight - earlier.guessesRight,
        guessesRead - earlier.guessesRead,
        guessesUsed - earlier.guessesUsed,
        waitNanos - earlier.waitNanos);
  }

  private static double part(long some, long all) {
    return all == 0 ? 0 : (double) some / all;
  }
}
