#include "discovery/advertiser.h"
