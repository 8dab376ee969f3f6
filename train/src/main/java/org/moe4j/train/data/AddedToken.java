package org.moe4j.train.data;

import java.nio.charset.StandardCharsets;

/**
 * A token that is found in the text before it is cut into pieces.
 *
 * @param special whether it is a control token, which decoding leaves out
 */
record AddedToken(int id, String content, boolean special) {
  byte[] utf8() {
    return content.getBytes(StandardCharsets.UTF_8);
  }
}
