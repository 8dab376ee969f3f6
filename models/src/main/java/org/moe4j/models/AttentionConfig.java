package org.moe4j.models;

/** The attention half of a decoder's blocks. */
public sealed interface AttentionConfig
    permits GroupedQueryConfig, LatentConfig, AttentionExpertsConfig {

  /** H, query heads of a token. */
  int heads();

  /** The rotary embedding of queries and keys. */
  RopeConfig rope();

  /** Channels of a head that the rotary embedding sees. */
  int ropeDim();

  /** What is kept of a token for later ones. */
  Cached cached();

  /** Weights, norms and biases of one block's attention over {@code hidden} channels. */
  long parameters(int hidden);

  /** Those of the {@link #parameters} that one token meets. */
  default long activeParameters(int hidden) {
    return parameters(hidden);
  }

  /**
   * What a cache keeps of a token in a layer.
   *
   * @param heads of keys and of values
   * @param keys channels of a key
   * @param values channels of a value
   */
  record Cached(int heads, int keys, int values) {}

  /** Multi-head attention over {@code hidden} channels in {@code heads} heads, theta 10,000. */
  static GroupedQueryConfig of(int hidden, int heads) {
    return GroupedQueryConfig.of(hidden, heads);
  }
}
