/** Chat templates: from messages to the text that a checkpoint was trained on. */
@NullMarked
package org.moe4j.models.chat;

import org.jspecify.annotations.NullMarked;
