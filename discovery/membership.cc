#include "discovery/membership.h"
